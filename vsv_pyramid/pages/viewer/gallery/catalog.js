// The slides that are published, and their pictures.

import { fetched, imageUrl } from "../published.js";

/** The URL of a picture that shows all of the slide which is the catalog's entry: one of its tiles. */
export function overviewUrl({ id, version, packed, width, height, tile_size: side }) {
  if (packed) {
    return imageUrl(`${id}/thumbnail.jpeg`, version);
  }
  const level = Math.floor(Math.log2(side)); // the largest that is one tile for sure
  const levels = Math.ceil(Math.log2(Math.max(width, height)));
  return imageUrl(`${id}/DeepZoom_files/${Math.min(level, levels, 8)}/0_0.jpeg`, version);
}

/** The entries of the catalog, of all its shards. */
export async function catalog() {
  const index = await fetched("index.json", "The list of the slides").then((answer) => answer.json());
  const shards = await Promise.all(
    (index.shards ?? []).map((name) =>
      fetched(name, "The list of the slides").then((answer) => answer.json())),
  );
  return [index, ...shards].flatMap((document) => document.slides ?? []);
}
