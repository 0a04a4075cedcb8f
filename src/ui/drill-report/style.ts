/** The page's style sheet. The chart's colours are here too: told apart by those who do not see red and green alike. */
export const STYLE = `
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --muted: #59636e; --line: #d8dee4; --soft: #f3f5f7;
  --ok: #116329; --bad: #b3261e; --c1: #0b62c4; --c2: #8a6300; --c3: #7d3cb5;
  --n1: #0b62c4; --n2: #b35900; --n3: #00796b; --n4: #8e24aa; --n5: #6d4c41; --n6: #5c6b00; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e8ecf0; --muted: #a0abb6; --line: #333b44; --soft: #1d232a;
  --ok: #5fd38a; --bad: #ff8078; --c1: #6cb0ff; --c2: #e3b341; --c3: #cf9bff;
  --n1: #6cb0ff; --n2: #ffab66; --n3: #4fd1c0; --n4: #e08cff; --n5: #c8a99c; --n6: #c6d04f; } }
@media print { :root { color-scheme: light; --paper: #ffffff; --ink: #000000; --muted: #444444; --line: #bbbbbb; --soft: #ffffff;
  --ok: #0b4a1e; --bad: #8c1d18; --c1: #0b4fa0; --c2: #6b4d00; --c3: #5b2b86;
  --n1: #0b4fa0; --n2: #8a4500; --n3: #005a50; --n4: #6a1b80; --n5: #4e3730; --n6: #434e00; }
  section { break-inside: avoid-page; } details:not([open]) { display: none; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 16px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 8px 0; } h2 { font-size: 1.2rem; margin: 32px 0 4px; border-top: 1px solid var(--line); padding-top: 16px; overflow-wrap: anywhere; }
p { margin: 6px 0; max-width: 75ch; } .lead { font-weight: 600; } .muted, footer { color: var(--muted); } footer { margin-top: 40px; font-size: 13px; }
a { color: var(--c1); } code { font: 13px/1.4 ui-monospace, "DejaVu Sans Mono", monospace; background: var(--soft); padding: 1px 4px; border-radius: 3px; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 10px 0; } table { border-collapse: collapse; font-size: 13.5px; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--muted); font-weight: 600; } tbody th { font-weight: 500; } td.num { white-space: nowrap; font-variant-numeric: tabular-nums; }
td small { display: block; color: var(--muted); font-size: 11.5px; } td.ok, td.bad { white-space: nowrap; } .ok { color: var(--ok); } .bad { color: var(--bad); }
.overview table { font-size: 12.5px; } .overview th, .overview td { padding-right: 8px; } .overview td small { white-space: normal; font-size: 11px; }
figure { margin: 14px 0 6px; max-width: 1040px; } figure svg { display: block; width: 100%; height: auto; } .narrow { display: none; }
@media (max-width: 620px) { .wide { display: none; } .narrow { display: block; } body { padding: 10px; } }
summary { cursor: pointer; color: var(--muted); margin: 8px 0; }
.mark { display: inline-block; min-width: 18px; height: 18px; line-height: 18px; border-radius: 9px; text-align: center; font-size: 11px; font-weight: 600; background: var(--c1); color: var(--paper); }
.mark.fault { background: var(--bad); }
`;
