// Draws every Vega-Lite specification of the page into the element before it.
// Colours are CSS variables, so that light, dark and print need no second drawing.
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const THEME = {
  background: "transparent",
  font: FONT,
  padding: 4,
  view: { stroke: null },
  axis: {
    labelColor: "var(--muted)", titleColor: "var(--muted)", gridColor: "var(--line)",
    domainColor: "var(--axis)", tickColor: "var(--axis)",
    labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", titlePadding: 8,
    labelSeparation: 4,
  },
  axisDiscrete: { ticks: false, domain: false, grid: false, labelPadding: 6, labelColor: "var(--ink)" },
  axisQuantitative: { domain: false, ticks: false, tickCount: 6 },
  range: { category: ["var(--series-1)", "var(--series-2)", "var(--series-3)", "var(--series-4)", "var(--series-5)"] },
  bar: { color: "var(--series-1)" },
  rect: { color: "var(--series-1)" },
  line: { color: "var(--series-1)", strokeWidth: 2 },
  point: { color: "var(--series-1)", filled: true, size: 60, opacity: 1 },
  rule: { color: "var(--muted)" },
  text: { color: "var(--ink)", font: FONT, fontSize: 12 },
  style: { cell: { stroke: null }, reference: { color: "var(--muted)", stroke: "var(--muted)", strokeDash: [4, 4], strokeWidth: 1 } },
};

for (const source of document.querySelectorAll('script[type="application/vnd.vegalite+json"]')) {
  const place = source.previousElementSibling;
  const labelLimit = Math.max(90, Math.min(320, 0.48 * place.clientWidth));
  vegaEmbed(place, JSON.parse(source.textContent), {
    mode: "vega-lite", renderer: "svg", actions: false, ast: true, config: { ...THEME, axis: { ...THEME.axis, labelLimit } },
    tooltip: { theme: "custom" },
  }).catch((error) => { place.textContent = `This chart could not be drawn: ${error.message}`; });
}
