// Decimal numbers as texts. They are calculated with as integers: money is never a binary fraction.

/** Whether a text is a number as the API takes it. */
export function isNumber(text) {
  return /^[0-9]{1,20}(\.[0-9]{1,20})?$/.test(text);
}

/** How many decimals a number has, without zeros at its end. */
export function decimals(text) {
  return (text.split(".")[1] ?? "").replace(/0+$/, "").length;
}

/** The most decimals that any of them has, but `least` at least: so that a column is aligned. */
export function alignment(texts, least = 0) {
  return texts.reduce((most, text) => Math.max(most, decimals(text)), least);
}

/** A number for people: thousands apart, `places` decimals, what is finer cut off. */
export function shown(text, places = decimals(text)) {
  const [whole, part = ""] = text.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return places ? `${grouped}.${part.slice(0, places).padEnd(places, "0")}` : grouped;
}

/** A number for people in little room: large ones with fewer decimals, cut off. */
export function brief(text) {
  const whole = text.split(".")[0].length;
  const places = Math.max(2, Math.min(8, 9 - whole));
  return shown(text, Math.min(places, alignment([text], 2)));
}

/** The same number without zeros at its end. */
export function plain(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function units(text, scale) {
  const [whole, part = ""] = text.split(".");
  return BigInt(whole + part.padEnd(scale, "0").slice(0, scale));
}

function text(value, scale) {
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, "0");
  const sign = value < 0n ? "-" : "";
  const number = scale ? `${digits.slice(0, -scale)}.${digits.slice(-scale)}` : digits;
  return sign + plain(number);
}

export function add(one, other) {
  const scale = alignment([one, other]);
  return text(units(one, scale) + units(other, scale), scale);
}

/** One less the other. */
export function less(one, other) {
  const scale = alignment([one, other]);
  return text(units(one, scale) - units(other, scale), scale);
}

export function times(one, other) {
  const [left, right] = [decimals(one), decimals(other)];
  return text(units(one, left) * units(other, right), left + right);
}

/** One divided by the other, cut to `places` decimals; "0" when there is nothing to divide by. */
export function quotient(one, other, places) {
  const scale = alignment([one, other]);
  const divisor = units(other, scale);
  if (divisor === 0n) return "0";
  return text((units(one, scale) * 10n ** BigInt(places)) / divisor, places);
}

/** What is finer than `places` decimals is cut off. */
export function cut(number, places) {
  return text(units(number, places), places);
}

/** The number one step of its last shown decimal further, and not below zero. */
export function step(number, places, direction) {
  const value = units(number, places) + BigInt(direction);
  return text(value < 0n ? 0n : value, places);
}
