// Asking the server. Addresses are relative to the page, which may stand below a path.

const TOKEN = "slimner-token";
const PATIENCE_MS = 60_000;

// Whatever keeps an answer from coming, in words for a person; `status` is 0 where there was no answer at all.
export class Problem extends Error {
  constructor(title, detail = "", status = 0) {
    super(title);
    this.title = title;
    this.detail = detail;
    this.status = status;
  }
}

let token = "";
try {
  token = sessionStorage.getItem(TOKEN) ?? "";
} catch {
  // no storage here: the token is kept as long as the page
}

export function useToken(value) {
  token = value;
  try {
    sessionStorage.setItem(TOKEN, value);
  } catch {
    // as above
  }
}

export const hasToken = () => token !== "";

// What is served here and its measured numbers.
export const info = () => call("v1/info", {});

// Entities of a text, and the milliseconds the server took.
export async function entities(text, signal) {
  const answer = await call("v1/ner", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text, offsets: "utf16" }),
    signal,
  });
  if (!Array.isArray(answer?.entities)) throw new Problem("The answer has no entities in it", "Is this a slimner server?");
  return answer;
}

async function call(path, request) {
  const limit = AbortSignal.timeout(PATIENCE_MS);
  const controller = new AbortController();
  const stop = (event) => controller.abort(event.target.reason);
  for (const signal of [limit, request.signal]) signal?.addEventListener("abort", stop, { once: true });
  try {
    const response = await fetch(new URL(path, document.baseURI), {
      ...request,
      cache: "no-store",
      credentials: "same-origin",
      headers: { ...request.headers, ...(token && { Authorization: `Bearer ${token}` }) },
      signal: controller.signal,
    });
    if (!response.ok) throw await problem(response);
    return await response.json();
  } catch (error) {
    if (error instanceof Problem || request.signal?.aborted) throw error;
    if (limit.aborted) throw new Problem(`No answer within ${PATIENCE_MS / 1000} seconds`, "Try again, or a shorter text.");
    if (error instanceof SyntaxError) throw new Problem("The answer is not JSON", "Is this a slimner server?");
    throw new Problem("The server cannot be reached", "Is it still running, and are you connected? Then try again.");
  }
}

// An error answer: problem+json where the server wrote it; something between may have answered otherwise.
async function problem(response) {
  const said = await response.json().catch(() => null);
  const title = typeof said?.title === "string" ? said.title : response.statusText || "The server refused";
  const wait = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const after = Number.isFinite(wait) ? ` Try again in ${wait} s.` : "";
  return new Problem(`${title} (${response.status})`, (typeof said?.detail === "string" ? said.detail : "") + after, response.status);
}
