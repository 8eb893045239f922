"use strict";
// What the theme leaves to wish for: a name for its search, and tables that the keyboard can scroll.
addEventListener("load", () => {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap, math[display=block]")) {
    table.tabIndex = 0;
    if (table.tagName === "DIV") { table.setAttribute("role", "region"); table.setAttribute("aria-label", "Table"); }
  }
});
