// A slide whose tiles are in one object, which few pages have to know of.

import { NotShown, imageUrl } from "./published.js";
import { NotPacked, openSzi, readFrom } from "./szi.js";

/** What the object says of the slide, and the way in which a tile source reads from it. */
export async function described(key, name) {
  try {
    const file = await openSzi(imageUrl(key));
    const { width, height, tileSize } = file;
    return { width, height, tileSize, overlap: 0, format: "jpeg", read: (source) => readFrom(file, source) };
  } catch (error) {
    const why = error instanceof NotPacked ? error.message : "The server does not answer; reload this page.";
    throw new NotShown(`${name}: ${why}`);
  }
}
