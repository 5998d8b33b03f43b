// The desk's server: what it is asked for, and why it did not do it.

const API = new URL("api/", import.meta.url);
const IMAGES = new URL("images/", import.meta.url);
const PATIENCE = 120_000; // ms, until no answer is expected any more

/** Why something was not done: a sentence for who looks at the page. */
export class NotDone extends Error {}

let known = null;

/** Who works here, what they may call, and whether there is a repository to send to:
 *  {who, role, may, token, cdr}. */
export function session() {
  known ??= asked("session").then(({ body }) => JSON.parse(body)).catch((error) => {
    known = null;
    throw error;
  });
  return known;
}

/** What is found at the path, as {tag, document}; null where that still has the tag. */
export async function news(path, before) {
  const { tag, body } = await asked(path);
  return tag && tag === before ? null : { tag, document: JSON.parse(body) };
}

/** The results of an action, one for each of the slides. */
export async function posted(path, content, again = true) {
  const { token } = await session();
  try {
    const { body } = await asked(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": token },
      body: JSON.stringify(content),
    });
    return JSON.parse(body).results;
  } catch (error) {
    if (error.cause !== 403 || !again) {
      throw error;
    }
    known = null; // the server may have been started anew, with another token
    return posted(path, content, false);
  }
}

/** What the error says, to be gone on with. */
export function stem(error) {
  return error.message.replace(/\.$/, "");
}

/** The URL of a slide's label or macro image, which only the desk shows. */
export function privateImageUrl({ id, version }, name) {
  const url = new URL(`${id}/${name}.jpeg`, IMAGES);
  if (version) {
    url.searchParams.set("v", version);
  }
  return url.href;
}

async function asked(path, options) {
  let answer, body;
  try {
    answer = await fetch(new URL(path, API), {
      cache: "no-cache", signal: AbortSignal.timeout(PATIENCE), ...options,
    });
    body = await answer.text();
  } catch {
    throw new NotDone("The desk’s server does not answer");
  }
  if (!answer.ok) {
    const { status } = answer;
    throw new NotDone(body.trim() || `The desk’s server refuses (error ${status})`, { cause: status });
  }
  return { tag: answer.headers.get("ETag"), body };
}
