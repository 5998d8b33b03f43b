// The function of cloudformation/cdn.yaml, which is its only copy, without CloudFront.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { runInNewContext } from "node:vm";

const TEMPLATE = process.env.TEMPLATE ?? new URL("../cloudformation/cdn.yaml", import.meta.url);

/** The block of text under FunctionCode, without its indentation. */
function code() {
  const [, rest] = readFileSync(TEMPLATE, "utf8").split("      FunctionCode: |\n");
  const lines = rest.split("\n");
  const end = lines.findIndex((line) => line && !line.startsWith("        "));
  return lines.slice(0, end).map((line) => line.slice(8)).join("\n");
}

// An empty context: there is no console, process or require.
const handler = runInNewContext(`${code()}\nhandler`, {});

/** What the function answers, as plain JSON. */
function answer(uri, querystring = {}) {
  const request = { method: "GET", uri, querystring, headers: {}, cookies: {} };
  return JSON.parse(JSON.stringify(handler({ version: "1.0", request })));
}

const SIGNED = {
  id: { value: "170782" },
  Policy: { value: "eyJ-_~" },
  Signature: { value: "a~b-c_" },
  "Key-Pair-Id": { value: "K2JCJMDEHXQW5F" },
};

for (const [uri, expected] of [
  ["/viewer/", "/viewer/index.html"],
  ["/viewer/gallery/", "/viewer/gallery/index.html"],
  ["/images/170782.dzi", "/images/170782/DeepZoom.dzi"],
  ["/images/a.b-c_d.svs.dzi", "/images/a.b-c_d.svs/DeepZoom.dzi"],
  ["/images/170782_files/12/3_4.jpeg", "/images/170782/DeepZoom_files/12/3_4.jpeg"],
  ["/images/a_files_files/0/0_0.jpeg", "/images/a_files/DeepZoom_files/0/0_0.jpeg"],
  [`/images/${"x".repeat(128)}.dzi`, `/images/${"x".repeat(128)}/DeepZoom.dzi`],
]) {
  test(`${uri.slice(0, 60)} is ${expected.slice(0, 60)}`, () => {
    const request = answer(uri, SIGNED);
    assert.equal(request.uri, expected);
    assert.deepEqual(request.querystring, SIGNED);
    assert.equal(request.method, "GET");
  });
}

for (const uri of [
  "/images/170782/DeepZoom.dzi",
  "/images/170782/DeepZoom_files/12/3_4.jpeg",
  "/images/a_files/DeepZoom.dzi",
  "/images/a_files/DeepZoom_files/0/0_0.jpeg",
  "/images/a.dzi/DeepZoom.dzi",
  "/images/index.json",
  "/images/.hidden.dzi",
  "/images/a/b.dzi",
  "/images/a%2Fb.dzi",
  "/images/../viewer/a.dzi",
  `/images/${"x".repeat(129)}.dzi`,
  "/images/170782_files/12/3_4.png",
  "/images/170782_files/12/3_4.jpeg.dzi/x",
  "/images/170782_files/-1/3_4.jpeg",
  "/images/170782.dzi\n",
  "/viewer/index.html",
  "/viewer/gallery/index.html",
  "/viewer/vendor/",
]) {
  test(`${JSON.stringify(uri).slice(0, 60)} stays as it is`, () => {
    assert.equal(answer(uri).uri, uri);
  });
}

for (const [uri, location] of [
  ["/", "/viewer/gallery/"],
  ["/viewer", "/viewer/"],
  ["/viewer/gallery", "/viewer/gallery/"],
]) {
  test(`${uri} leads to ${location}`, () => {
    const moved = answer(uri, SIGNED);
    assert.equal(moved.statusCode, 307);
    assert.equal(
      moved.headers.location.value,
      `${location}?id=170782&Policy=eyJ-_~&Signature=a~b-c_&Key-Pair-Id=K2JCJMDEHXQW5F`,
    );
    assert.equal(moved.headers["cache-control"].value, "no-cache");
    assert.equal(answer(uri).headers.location.value, location);
  });
}

test("a redirect keeps the query as it came", () => {
  const several = { value: "b", multiValue: [{ value: "a" }, { value: "b%20c" }] };
  const moved = answer("/", { id: several, empty: { value: "" } });
  assert.equal(moved.headers.location.value, "/viewer/gallery/?id=a&id=b%20c&empty");
});

for (const uri of [
  "/index.html",
  "/images",
  "/IMAGES/170782/DeepZoom.dzi",
  "//images/170782/DeepZoom.dzi",
  "/%69mages/170782/DeepZoom.dzi",
  "/.leases/images/170782",
  "/.manifests/1",
  "/.private/images/170782/label.jpeg",
  "/root.json",
  "/private/images/170782/label.jpeg",
  "/manifests/1.txt",
  "/watch/1.json",
  "/viewerx/index.html",
  "/constructor",
  "/__proto__",
]) {
  test(`${uri} is not there`, () => {
    assert.equal(answer(uri).statusCode, 404);
  });
}

test("the code is within CloudFront's 10 KB", () => {
  assert.ok(Buffer.byteLength(code()) < 10_240);
  assert.match(code(), /function handler/);
});
