// Code that only draws is folded; one button opens or folds it on all pages. Boxes that scroll can be reached by keyboard.

const folded = document.querySelectorAll("details.hide.above-input");
const article = document.querySelector("article.bd-article");

function unfold(open) {
  folded.forEach((details) => { details.open = open; });
}

if (folded.length && article) {
  let all = localStorage.getItem("all-code") === "open";
  const button = make("button", { type: "button", className: "all-code" });
  const tell = () => {
    button.textContent = all ? "Fold the code of pictures" : "Show all code";
    button.setAttribute("aria-pressed", all);
  };
  button.addEventListener("click", () => {
    all = !all;
    localStorage.setItem("all-code", all ? "open" : "folded");
    unfold(all);
    tell();
  });
  tell();
  unfold(all);
  article.querySelector("h1")?.after(button);
}

document.querySelectorAll("div.math, .cell_output pre, .output.text_html").forEach((box) => {
  if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
});
