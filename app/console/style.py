"""The look of the console: one sheet, system fonts, no request to anywhere else."""

from __future__ import annotations

CSS = """
:root { --ink:#182033; --soft:#5a6478; --faint:#8891a3; --line:#e1e5ec; --paper:#fff; --ground:#f4f6f9; --accent:#1f4fd8;
        --bad:#b3261e; --bad-ground:#fdecea; --warn:#8a5300; --warn-ground:#fff4dd; --good:#17663a; --good-ground:#e5f5ea; }
body { background:var(--ground); color:var(--ink); font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif; }
.nicegui-content { padding:0; display:block; }
.ct-top { background:var(--paper); border-bottom:1px solid var(--line); position:sticky; top:0; z-index:10; }
.ct-top-in, .ct-page { max-width:1120px; margin:0 auto; padding:0 20px; box-sizing:border-box; }
.ct-top-in { display:flex; align-items:center; gap:16px; min-height:52px; flex-wrap:wrap; }
.ct-brand { font-weight:700; font-size:17px; color:var(--ink); text-decoration:none; letter-spacing:-.01em; }
.ct-brand b { color:var(--accent); }
.ct-push { margin-left:auto; }
.ct-who { color:var(--soft); font-size:13px; }
.ct-who a, .ct-link { color:var(--accent); text-decoration:none; }
.ct-link:hover { text-decoration:underline; }
.ct-fresh { display:flex; gap:6px 16px; flex-wrap:wrap; font-size:12.5px; color:var(--soft); padding:7px 0; }
.ct-top-in.ct-fresh-wrap { min-height:0; }
.ct-fresh-bar { background:#fafbfc; border-bottom:1px solid var(--line); }
.ct-fresh span.late { color:var(--warn); font-weight:600; }
.ct-dot { display:inline-block; width:7px; height:7px; border-radius:50%; background:var(--good); margin-right:6px; vertical-align:1px; }
.ct-dot.late { background:#d98a00; } .ct-dot.unknown { background:#b8c0cd; }
.ct-page > div:empty { display:none; }
.ct-page { padding-top:24px; padding-bottom:64px; display:flex; flex-direction:column; gap:18px; }
.ct-card { background:var(--paper); border:1px solid var(--line); border-radius:12px; padding:18px 20px; }
.ct-card.alarm { border-left:4px solid var(--bad); } .ct-card.mending { border-left:4px solid #d98a00; }
.ct-card.ask { border:1px solid #f0c36b; background:#fffaf0; }
.ct-card h2 { font-size:15px; font-weight:700; margin:0 0 10px; line-height:1.4; letter-spacing:0; }
.ct-h1 { font-size:22px; font-weight:700; line-height:1.3; letter-spacing:-.015em; margin:4px 0 2px; }
.ct-title { font-size:17px; font-weight:650; color:var(--ink); text-decoration:none; display:block; margin:6px 0 2px; line-height:1.35; }
a.ct-title:hover { color:var(--accent); }
.ct-sentence { color:#39435a; max-width:78ch; }
.ct-soft { color:var(--soft); } .ct-small { font-size:13px; } .ct-faint { color:var(--faint); }
.ct-row { display:flex; gap:10px; align-items:center; flex-wrap:wrap; }
.ct-chip { display:inline-block; border-radius:999px; padding:1px 10px; font-size:12px; font-weight:600; background:#eef1f5; color:var(--soft); white-space:nowrap; }
.ct-chip.bad { background:var(--bad-ground); color:var(--bad); } .ct-chip.warn { background:var(--warn-ground); color:var(--warn); }
.ct-chip.good { background:var(--good-ground); color:var(--good); }
.ct-figures { display:grid; grid-template-columns:repeat(auto-fit,minmax(150px,1fr)); gap:10px; margin-top:14px; }
.ct-figure { background:#f8f9fb; border-radius:10px; padding:10px 14px; }
.ct-figure .name { font-size:12px; color:var(--soft); } .ct-figure .value { font-size:20px; font-weight:700; letter-spacing:-.01em; line-height:1.35; }
.ct-figure .note { font-size:12px; color:var(--faint); } .ct-figure.bad .value { color:var(--bad); }
.ct-two { display:grid; grid-template-columns:minmax(0,3fr) minmax(0,2fr); gap:18px; align-items:start; }
.ct-stack { display:flex; flex-direction:column; gap:18px; min-width:0; }
.ct-scroll { overflow-x:auto; margin:0 -4px; padding:0 4px; }
table.ct { border-collapse:collapse; width:100%; font-size:13.5px; }
table.ct th { text-align:left; font-size:12px; font-weight:600; color:var(--soft); padding:4px 10px 6px 0; border-bottom:1px solid var(--line); white-space:nowrap; }
table.ct td { padding:8px 10px 8px 0; border-bottom:1px solid #eef1f5; vertical-align:top; }
table.ct tr:last-child td { border-bottom:0; } table.ct .num { text-align:right; white-space:nowrap; font-variant-numeric:tabular-nums; }
table.ct td:first-child { min-width:150px; }
table.ct td small { display:block; color:var(--faint); font-size:12px; }
.ct-mono { font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace; font-size:12.5px; overflow-wrap:anywhere; }
.ct-list { display:flex; flex-direction:column; gap:10px; }
.ct-item { padding-left:14px; border-left:3px solid var(--line); } .ct-item.first { border-left-color:var(--bad); } .ct-item.for { border-left-color:#7fa3ff; }
.ct-item .head { font-weight:600; }
.ct-bar { height:6px; border-radius:3px; background:#e8ecf2; overflow:hidden; flex:1; min-width:60px; } .ct-bar i { display:block; height:100%; background:var(--accent); }
.ct-action { display:flex; gap:12px; align-items:center; flex-wrap:wrap; padding:10px 0; border-top:1px solid #f0e2c4; }
.ct-card:not(.ask) .ct-action { border-top-color:#eef1f5; } .ct-action:first-of-type { border-top:0; padding-top:0; }
.ct-action .what { flex:1 1 260px; min-width:0; } .ct-buttons { display:flex; gap:8px; flex-wrap:wrap; }
.ct-buttons .q-btn { border-radius:8px; text-transform:none; font-weight:600; min-height:38px; }
.ct-empty { text-align:center; padding:56px 20px; } .ct-empty .mark { font-size:34px; line-height:1; color:var(--good); }
.ct-chart { height:300px; width:100%; }
@media (max-width:760px) {
  .ct-two { grid-template-columns:minmax(0,1fr); } .ct-top-in,.ct-page { padding-left:14px; padding-right:14px; } .ct-page { padding-top:14px; gap:12px; }
  .ct-card { padding:14px; border-radius:10px; } .ct-h1 { font-size:19px; } .ct-figures { grid-template-columns:repeat(2,minmax(0,1fr)); }
  .ct-figure { padding:8px 10px; } .ct-figure .value { font-size:17px; } .ct-buttons { width:100%; } .ct-buttons .q-btn { flex:1; } .ct-chart { height:240px; }
}
"""
