/** The looks of a drawn chart, by day and by night: in the page's stylesheet, and inside an SVG that stands alone. */

const LIGHT = `
  --c-canvas: #ffffff; --c-box: #fcfcfd; --c-leaf: #f4f6f8; --c-rule: #b6bfc9; --c-ink: #1d2733; --c-soft: #5b6875; --c-way: #8290a0;
  --c-active: #0a66c2; --c-active-wash: #f3f8fe; --c-active-leaf: #d7eafc; --c-taken: #a15c00; --c-taken-wash: #fff0d1;`

const DARK = `
  --c-canvas: #12171d; --c-box: #161c23; --c-leaf: #1f2730; --c-rule: #46525f; --c-ink: #e6ebf0; --c-soft: #9caab8; --c-way: #637282;
  --c-active: #63b3ff; --c-active-wash: #151f2b; --c-active-leaf: #173a5c; --c-taken: #f2b84b; --c-taken-wash: #3a2c10;`

const RULES = `
.chart text { fill: var(--c-ink); font: 11px Helvetica, Arial, "Liberation Sans", sans-serif; text-rendering: geometricPrecision; }
.chart .title { font-size: 13px; font-weight: 700; }
.state > rect, .history > circle { fill: var(--c-box); stroke: var(--c-rule); }
.leaf > rect, .history > circle { fill: var(--c-leaf); }
.region > rect.frame { stroke-dasharray: 5 3; }
.final > rect.inner { fill: none; }
.open .title, .open .line { paint-order: stroke; stroke: var(--c-box); stroke-width: 4px; stroke-linejoin: round; }
.open.active .title, .open.active .line { stroke: var(--c-active-wash); }
.words .line { fill: var(--c-soft); }
.words .line .word { fill: var(--c-ink); }
.words .line.plain .word { fill: var(--c-soft); }
.count, .rate, .ring { display: none; }
.counted .count:not(.none), .counted .rate { display: inline; }
.count rect { fill: var(--c-active); }
.chart .count text { fill: var(--c-canvas); font-weight: 700; }
.chart .rate { fill: var(--c-taken); font-weight: 700; paint-order: stroke; stroke: var(--c-box); stroke-width: 4px; }
.busy path { stroke: var(--c-taken); }
.busy .tip { fill: var(--c-taken); }
.pending .ring { display: inline; }
.ring circle { fill: none; stroke-width: 2.4; }
.ring .track { stroke: var(--c-active); opacity: 0.22; }
.ring .left { stroke: var(--c-active); stroke-dasharray: 1 1; }
.initial { fill: var(--c-ink); }
.way path { fill: none; stroke: var(--c-way); stroke-width: 1.2; }
.way .tip { fill: var(--c-way); stroke: none; }
.way text { fill: var(--c-soft); }
.way .word { fill: var(--c-ink); }
.way.start path { stroke: var(--c-soft); }
.way.start .tip { fill: var(--c-soft); }
.state.active > rect.frame { fill: var(--c-active-wash); stroke: var(--c-active); stroke-width: 1.6; }
.state.active.leaf > rect.frame { fill: var(--c-active-leaf); }
.state.active.final > rect.inner { stroke: var(--c-active); }
.way.possible path { stroke: var(--c-active); stroke-width: 1.5; }
.way.possible .tip { fill: var(--c-active); }
.way.possible .word, .words .line.possible .word { fill: var(--c-active); font-weight: 700; }
.way.taken path { stroke: var(--c-taken); stroke-width: 2.4; }
.way.taken .tip { fill: var(--c-taken); }
.way.taken text, .way.taken .word, .words .line.taken, .words .line.taken .word { fill: var(--c-taken); font-weight: 700; }`

export const chartStyle = `:root {${LIGHT}
  color-scheme: light dark;
}
@media (prefers-color-scheme: dark) {
  :root:not([data-theme="light"]) {${DARK}
  }
}
:root[data-theme="dark"] {${DARK}
}
${RULES}
`
