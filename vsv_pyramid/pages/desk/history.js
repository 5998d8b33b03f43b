// What has happened to a slide, and the images that only the desk shows.

import { privateImageUrl } from "./api.js";
import { FIELDS } from "./reviews.js";
import { timeText } from "./row.js";

/** The history as items of a list, the latest first. */
export function historyItems(history) {
  return history.toReversed().map(({ when, who, action, changes = {}, confirmed, note }) => {
    const item = document.createElement("li");
    const changed = Object.entries(changes).map(([name, [before, after]]) =>
      `${FIELDS[name] ?? name} ${before ?? "none"} → ${after ?? "none"}`);
    if (confirmed !== undefined) {
      changed.push(`slide ID ${confirmed ? "" : "not "}confirmed`);
    }
    item.append(
      line("strong", action === "set" ? changed.join(", ") : [action, ...changed].join(", ")),
      line("span", [timeText(when), who].filter(Boolean).join(", ")));
    if (note) {
      item.append(line("q", note));
    }
    return item;
  });
}

/** The slide's label and macro, as far as it has them. */
export function pictures(slide, images) {
  return ["label", "macro"].filter((name) => images.includes(name)).map((name) => {
    const figure = document.createElement("figure");
    figure.className = name;
    const image = document.createElement("img");
    image.src = privateImageUrl(slide, name);
    image.alt = `The slide’s ${name}`;
    figure.append(image, line("figcaption", name));
    return figure;
  });
}

function line(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}
