// The documentation of the API, drawn from its document; a token that is given there is kept nowhere.

SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#documentation",
  deepLinking: true,
  validatorUrl: null,
});
