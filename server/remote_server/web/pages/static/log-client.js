// Asks the server about one attempt's log, and hears how it grows.
// @ts-check

/** @typedef {import("./log-lines.js").Line} Line */
/** @typedef {{ state: string, icon: string, word: string, says: string[], checksum: string, end: string }} Whole */
/**
 * How much there is: `rows` of the wanted stream in the first `counted` bytes of `size`.
 * @typedef {{ attempt: number, attempts: [number, string][], rows: number, lines: number, size: number, counted: number, over: boolean, whole: Whole, found?: Line[], ending?: Line[], anew?: boolean }} Status
 */

const AGAIN = 5_000;

export class LogClient {
  /**
   * @param {string} address
   * @param {string} attempt
   * @param {(status: Status) => void} heard
   * @param {(fault: string) => void} failed
   */
  constructor(address, attempt, heard, failed) {
    this.address = address;
    this.attempt = attempt;
    this.stream = "";
    this.heard = heard;
    this.failed = failed;
    /** @type {EventSource | null} */
    this.source = null;
    this.ended = false;
    this.again = 0;
  }

  /**
   * @param {string} what
   * @param {Record<string, string | number | boolean>} query
   */
  url(what, query = {}) {
    const address = new URL(`${this.address}/${what}`, location.href);
    address.searchParams.set("attempt", this.attempt);
    if (this.stream) address.searchParams.set("stream", this.stream);
    for (const [name, value] of Object.entries(query)) address.searchParams.set(name, String(value));
    return address.href;
  }

  /**
   * @param {string} what
   * @param {Record<string, string | number | boolean>} query
   */
  async ask(what, query) {
    const answer = await fetch(this.url(what, query), { headers: { Accept: "text/html" }, cache: "no-store" });
    if (answer.redirected) location.reload();
    if (!answer.ok) throw new Error(answer.status === 503 ? "the log cannot be read now" : `the server answers ${answer.status}`);
    return answer.json();
  }

  /** Hear of what is new, as long as the page is looked at and the log grows. */
  open() {
    if (this.source || this.ended || document.hidden) return;
    clearTimeout(this.again);
    const source = new EventSource(this.url("live"));
    this.source = source;
    source.addEventListener("log", (event) => this.heard(JSON.parse(event.data)));
    source.addEventListener("end", () => {
      this.ended = true;
      this.close();
    });
    source.addEventListener("error", () => {
      if (this.source === source) this.failed("not connected, trying again");
      // A connection that broke off the browser makes again itself; one that was refused, or that a
      // proxy does not let through, is tried again, and meanwhile the log is asked for.
      if (source.readyState !== EventSource.CLOSED || this.source !== source) return;
      this.close();
      this.again = setTimeout(() => {
        void this.poll();
        this.open();
      }, AGAIN);
    });
  }

  async poll() {
    try {
      this.heard(await this.ask("lines", { last: true, count: 120 }));
    } catch (error) {
      this.failed(error instanceof Error ? error.message : String(error));
    }
  }

  close() {
    clearTimeout(this.again);
    this.source?.close();
    this.source = null;
  }
}
