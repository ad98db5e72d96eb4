"""The style sheet of an audit's page."""

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #eef1f4; color: #1f2933;
  font: 15px/1.55 "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
main { max-width: 860px; margin: 24px auto; padding: 40px 48px; background: white;
  border: 1px solid #d9dfe5; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 8px;
  padding-top: 14px; border-top: 1px solid #d9dfe5; }
h3 { font-size: 15px; margin: 20px 0 4px; }
p { margin: 6px 0 10px; } .muted { color: #5f6c7b; } small { color: #5f6c7b; }
.verdict { margin: 20px 0; padding: 16px 20px; border-left: 6px solid; border-radius: 3px; }
.verdict strong { font-size: 19px; display: block; }
.good { background: #e9f5ee; border-color: #2e7d4f; }
.bad { background: #fbeceb; border-color: #b3261e; }
.open { background: #fdf6e3; border-color: #b7872a; }
table { border-collapse: collapse; width: 100%; margin: 10px 0; font-size: 13.5px; }
th { text-align: left; color: #5f6c7b; font-weight: 600; border-bottom: 1px solid #b8c2cc; }
td, th { padding: 6px 10px 6px 0; vertical-align: top; }
td { border-bottom: 1px solid #eceff2; } td.n, th.n { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: 170px 1fr; gap: 4px 16px; margin: 12px 0; }
dt { color: #5f6c7b; } dd { margin: 0; overflow-wrap: anywhere; }
code { font: 12.5px ui-monospace, Consolas, monospace; }
.glance { width: auto; } .glance td { padding-right: 28px; font-size: 14.5px; }
.mark { font-weight: 600; white-space: nowrap; } .yes { color: #2e7d4f; } .no { color: #b3261e; }
.none { color: #8a5a00; } .quiet { color: #8593a1; }
svg { width: 100%; height: auto; margin: 8px 0 4px; display: block; font-family: inherit; }
ul { margin: 6px 0; padding-left: 20px; } li { margin: 3px 0; }
@media print { body { background: white; font-size: 11.5px; } main { border: 0; margin: 0;
  padding: 0; max-width: none; } h2 { break-after: avoid; } table, svg, .verdict, li, dl
  { break-inside: avoid; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
