// Not a module: from a disk, browsers run no modules, and the page would stay empty without a word.

"use strict";

if (location.protocol === "file:") {
  addEventListener("DOMContentLoaded", () => {
    const message = document.createElement("p");
    message.className = "message";
    message.setAttribute("role", "alert");
    message.textContent =
      "This page was opened from a disk, and browsers do not let such a page read slides; " +
      "open it with vsv-pyramid serve --open, or from any web server.";
    document.body.replaceChildren(message);
  });
}
