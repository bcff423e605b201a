// Rows of tables, changed in place: what has the focus keeps it.

/**
 * Fills `body` with a row for each item.
 * @param {(item) => (string | Node)[]} cells  of an item
 * @param {string} [empty]  what stands there when there are no items
 * @returns {HTMLTableRowElement[]}
 */
export function fill(body, items, cells, empty) {
  if (!items.length) {
    body.replaceChildren();
    if (empty) {
      const cell = body.insertRow().insertCell();
      cell.colSpan = 9;
      cell.className = "empty";
      cell.textContent = empty;
    }
    return [];
  }
  if (body.querySelector(".empty")) body.replaceChildren();
  while (body.rows.length > items.length) body.deleteRow(-1);
  while (body.rows.length < items.length) body.insertRow();
  items.forEach((item, index) => {
    const row = body.rows[index];
    const contents = cells(item);
    while (row.cells.length < contents.length) row.insertCell();
    contents.forEach((content, place) => {
      const cell = row.cells[place];
      if (content instanceof Node) cell.replaceChildren(content);
      else if (cell.textContent !== content) cell.textContent = content;
    });
  });
  return [...body.rows];
}

/** Text of a class, such as a side with its colour. */
export function coloured(text, name) {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}

const two = (number) => String(number).padStart(2, "0");

/** Hours, minutes, seconds of the visitor's clock, from microseconds. */
export function clock(time) {
  const date = new Date(time / 1000);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
}

/** As `clock`, with the date before today. */
export function moment(time) {
  const date = new Date(time / 1000);
  if (date.toDateString() === new Date().toDateString()) return clock(time);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(time)}`;
}
