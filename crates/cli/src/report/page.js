"use strict";

// Tables sort by the column whose title is clicked: numbers by value, undefined ones last.
const value = (row, column) => {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace("−", "-"));
  return { text, number };
};
const order = (one, other, direction) => {
  const [a, b] = [Number.isNaN(one.number), Number.isNaN(other.number)];
  if (a && b) return direction * one.text.localeCompare(other.text, undefined, { numeric: true });
  if (a || b) return a ? 1 : -1;
  return direction * (one.number - other.number);
};
for (const title of document.querySelectorAll("th")) {
  title.tabIndex = 0;
  const sort = () => {
    const table = title.closest("table");
    const ascending = title.getAttribute("aria-sort") !== "ascending";
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    title.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows];
    const [column, direction] = [title.cellIndex, ascending ? 1 : -1];
    rows.sort((one, other) => order(value(one, column), value(other, column), direction));
    table.tBodies[0].append(...rows);
  };
  title.addEventListener("click", sort);
  title.addEventListener("keydown", (event) => {
    if (event.key === "Enter") sort();
  });
}

// The slider of a case shows one of its slices.
for (const figure of document.querySelectorAll("figure")) {
  const slider = figure.querySelector("input");
  const pictures = [...figure.querySelectorAll("img")];
  const show = () => {
    pictures.forEach((picture, index) => { picture.hidden = index !== Number(slider.value); });
    figure.querySelector("output").textContent = pictures[slider.value].alt;
  };
  slider.addEventListener("input", show);
  show();
}

// The system's theme, until the button is pressed.
const root = document.documentElement;
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

// For those who check the page without looking: all above has run, and nothing sticks out sideways.
root.dataset.ready = String(root.scrollWidth <= root.clientWidth);
