// The side panel: what is known of a slide, its images, and the lengths measured on it.

import { imageUrl, scanTime } from "./published.js";
import { lengthText } from "./scale.js";

const IMAGES = ["thumbnail", "label", "macro"];

/** Fills `element` with the facts of the slide that the pane shows. */
export function showFacts(element, { slide }) {
  if (!slide) {
    element.replaceChildren();
    return;
  }
  const { facts, mpp, power, width, height } = slide;
  const { pyramid = {}, review = {} } = facts;
  const rows = [
    ["Status", review.status !== "NEW" && review.status],
    ["Slide ID", review.slide_id],
    ["Case ID", review.case_id],
    ["Size", `${count(width)} × ${count(height)} px`],
    ["", mpp && `${lengthText(width * mpp.x)} × ${lengthText(height * mpp.y)}`],
    ["Objective", power ? `${power}x` : "not stated by the slide"],
    ["Pixel", mpp ? pixelText(mpp) : "size not stated: no scale bar, lengths are in px"],
    ["Scanned", scanTime(facts)?.replace("T", " ")],
    ["Scanner", [facts.vendor, facts.scanner].filter(Boolean).join(", ")],
    ["Full resolution", BASES[pyramid.base]],
    ["Tiles", pyramid.tile_count && `${count(pyramid.tile_count)} of ${pyramid.tile_size} px`],
    ["Published", facts.created?.slice(0, 10)],
  ];
  element.replaceChildren(list(rows), ...pictures(slide));
}

/** Fills `element` with the lengths measured in the pane. */
export function showLengths(element, { rulers }) {
  element.querySelector("ol").replaceChildren(...rulers.lengths.map((text, index) => {
    const item = made("li", text);
    const button = made("button", "×");
    button.setAttribute("aria-label", `Remove ${text}`);
    button.addEventListener("click", () => rulers.remove(index));
    item.append(button);
    return item;
  }));
  element.hidden = !rulers.list.length;
}

const BASES = {
  copied: "the scanner’s own pixels",
  encoded: "encoded anew",
};

function pictures({ id, version, facts }) {
  const published = facts.associated_images?.published ?? [];
  return IMAGES.filter((name) => published.includes(name)).map((name) => {
    const figure = document.createElement("figure");
    const image = document.createElement("img");
    image.src = imageUrl(`${id}/${name}.jpeg`, version);
    image.alt = `The slide’s ${name}`;
    figure.append(image, made("figcaption", name));
    return figure;
  });
}

function pixelText({ x, y }) {
  return x === y ? `${x} µm` : `${x} × ${y} µm`;
}

function count(number) {
  return number.toLocaleString("en").replaceAll(",", " ");
}

function list(rows) {
  const element = made("dl");
  for (const [name, value] of rows) {
    if (value) {
      element.append(made("dt", name), made("dd", value));
    }
  }
  return element;
}

function made(name, text = "") {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}
