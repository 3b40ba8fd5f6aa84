// Shows some rows of many in a box that scrolls: only those that are near are in the document.
//
// Rows may have any height, and a browser limits how high an element gets: so the position is a row
// and what of it is hidden above, and the scroll bar is made to agree whenever it rests.
// @ts-check

const HIGHEST = 6_000_000;
const NEAR = 30;
const FEW = 200;
const REST = 150;

/** @typedef {{ at: (row: number) => unknown, draw: (row: number) => HTMLElement, shown: (first: number, last: number) => void }} Source */

export class Scroller {
  /**
   * @param {HTMLElement} box
   * @param {Source} source
   */
  constructor(box, source) {
    this.box = box;
    this.source = source;
    this.total = 0;
    this.row = 1;
    this.hidden = 0;
    /** Whether it stays at the end as rows come. */
    this.stuck = false;
    this.rowHeight = 19;
    /** @type {Map<number, { element: HTMLElement, of: unknown }>} */
    this.drawn = new Map();
    this.space = document.createElement("div");
    this.space.className = "log-space";
    this.rows = document.createElement("div");
    this.rows.className = "log-rows";
    box.replaceChildren(this.space, this.rows);
    this.top = 0;
    this.frame = 0;
    this.rest = 0;
    box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    new ResizeObserver(() => this.schedule()).observe(box);
  }

  /** Draw every row anew. */
  redraw() {
    this.drawn.clear();
    this.rows.replaceChildren();
    this.schedule();
  }

  /** Draw what changed at the next frame. */
  schedule() {
    this.frame ||= requestAnimationFrame(() => this.render());
  }

  /** @param {boolean} stuck */
  stick(stuck) {
    this.stuck = stuck;
    this.schedule();
  }

  /**
   * Show a row, `above` of the box's height below its top.
   * @param {number} row
   * @param {number} above
   */
  show(row, above = 0.3) {
    this.stuck = false;
    this.row = Math.min(Math.max(1, row), Math.max(1, this.total));
    this.hidden = 0;
    this.move(-this.box.clientHeight * above);
    this.schedule();
    this.settle();
  }

  /**
   * Show a row with as little movement as possible.
   * @param {number} row
   */
  reveal(row) {
    const [first, last] = this.visible();
    if (row <= first) this.show(row, 0);
    else if (row >= last) {
      this.stuck = false;
      this.move((row - last + 1) * this.rowHeight);
      this.schedule();
      this.settle();
    }
  }

  /** The first and the last row that are seen, as far as is known. */
  visible() {
    return [this.row, Math.min(this.total, this.row + Math.max(0, Math.floor((this.box.clientHeight + this.hidden) / this.rowHeight) - 1))];
  }

  scrolled() {
    const by = this.box.scrollTop - this.top;
    if (Math.abs(by) < 1) return;
    this.top = this.box.scrollTop;
    const room = this.box.scrollHeight - this.box.clientHeight;
    this.stuck = this.top >= room - 2;
    if (Math.abs(by) < 3 * this.box.clientHeight) this.move(by);
    else {
      this.row = 1 + Math.floor((this.top / Math.max(1, room)) * Math.max(0, this.total - this.box.clientHeight / this.rowHeight));
      this.hidden = 0;
    }
    this.schedule();
    this.settle();
  }

  /** @param {number} by pixels down */
  move(by) {
    this.hidden += by;
    while (this.hidden < 0 && this.row > 1) {
      this.row -= 1;
      this.hidden += this.height(this.row);
    }
    while (this.row < this.total && this.hidden >= this.height(this.row)) {
      this.hidden -= this.height(this.row);
      this.row += 1;
    }
    this.hidden = Math.max(0, this.hidden);
  }

  /** @param {number} row */
  height(row) {
    return this.drawn.get(row)?.element.offsetHeight || this.rowHeight;
  }

  /** Make the scroll bar agree once nobody scrolls. */
  settle() {
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      const ideal = this.ideal();
      if (!this.stuck && Math.abs(ideal - this.box.scrollTop) > this.box.clientHeight) {
        this.scrollTo(ideal);
        this.render();
      }
    }, REST);
  }

  /** Where the scroll bar should be. */
  ideal() {
    const full = this.total * this.rowHeight;
    const room = Math.max(1, this.space.offsetHeight - this.box.clientHeight);
    if (full <= HIGHEST) return Math.min(room, (this.row - 1) * this.rowHeight + this.hidden);
    return Math.min(room, ((this.row - 1) / Math.max(1, this.total - this.box.clientHeight / this.rowHeight)) * room);
  }

  /** @param {number} top */
  scrollTo(top) {
    this.box.scrollTop = top;
    this.top = this.box.scrollTop;
  }

  render() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const view = this.box.clientHeight;
    if (!view) return;
    this.rowHeight = parseFloat(getComputedStyle(this.box).lineHeight) || this.rowHeight;
    const fit = Math.ceil(view / this.rowHeight) + 1;
    this.row = Math.min(this.row, Math.max(1, this.total));
    let [first, last] = [Math.max(1, this.row - NEAR), Math.min(this.total, this.row + fit + NEAR)];
    if (this.total <= FEW) [first, last] = [1, this.total];
    else if (this.stuck) [first, last] = [Math.max(1, this.total - fit - NEAR), this.total];
    this.fill(first, last);
    const height = this.rows.offsetHeight;
    const all = first === 1 && last === this.total;
    const space = all ? height : Math.max(Math.min(this.total * this.rowHeight, HIGHEST), height);
    this.space.style.height = `${space}px`;
    if (this.stuck) {
      this.place(space - height);
      this.scrollTo(Math.max(0, space - view));
      this.find(first, last);
    } else this.align(first, last, space, height);
    const [from, to] = this.visible();
    this.source.shown(from, Math.max(to, Math.min(this.total, from + fit)));
  }

  /**
   * Put the rows where the current one is at the top of what is seen.
   * @param {number} first
   * @param {number} last
   * @param {number} space
   * @param {number} height
   */
  align(first, last, space, height) {
    const above = this.offset(this.row) + this.hidden;
    let [top, scroll] = [this.box.scrollTop - above, this.box.scrollTop];
    // The scroll bar may disagree in the middle, never at the ends, nor where rows would lie outside.
    if (first === 1) [top, scroll] = [0, above];
    else if (last === this.total) [top, scroll] = [space - height, space - height + above];
    else if (top < 0 || top + height > space) {
      scroll = Math.min(Math.max(this.ideal(), above), space - height + above);
      top = scroll - above;
    }
    this.place(top);
    if (Math.abs(scroll - this.box.scrollTop) >= 1) {
      this.scrollTo(scroll);
      if (this.top < scroll - 1) this.find(first, last);
    }
  }

  /** @param {number} row */
  offset(row) {
    return this.drawn.get(row)?.element.offsetTop ?? 0;
  }

  /** @param {number} top */
  place(top) {
    this.rowsTop = top;
    this.rows.style.top = `${top}px`;
  }

  /**
   * Find the row that is at the top of what is seen.
   * @param {number} first
   * @param {number} last
   */
  find(first, last) {
    const wanted = this.top - (this.rowsTop ?? 0);
    let row = first;
    while (row < last && this.offset(row) + this.height(row) <= wanted) row += 1;
    this.row = row;
    this.hidden = Math.max(0, wanted - this.offset(row));
  }

  /**
   * Have these rows in the document, and no others.
   * @param {number} first
   * @param {number} last
   */
  fill(first, last) {
    for (const [row, { element }] of this.drawn) {
      if (row < first || row > last) {
        element.remove();
        this.drawn.delete(row);
      }
    }
    /** @type {Element | null} */
    let next = this.rows.firstElementChild;
    for (let row = first; row <= last; row += 1) {
      const [had, of] = [this.drawn.get(row), this.source.at(row)];
      if (had && had.of === of) {
        if (had.element === next) next = next.nextElementSibling;
        else this.rows.insertBefore(had.element, next);
        continue;
      }
      const element = this.source.draw(row);
      this.drawn.set(row, { element, of });
      if (had) {
        if (had.element === next) next = next.nextElementSibling;
        had.element.replaceWith(element);
      } else this.rows.insertBefore(element, next);
    }
  }
}
