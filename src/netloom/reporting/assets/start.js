// The start of everything.
function drawAll() {
  drawCharts();
  drawLineage();
  drawTable();
}

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  for (const button of document.querySelectorAll("[data-theme-to]")) button.setAttribute("aria-pressed", String(button.dataset.themeTo === name));
  for (const chart of CHARTS) chart.repaint();
}

function start() {
  read(JSON.parse(byId("data").textContent));
  startCharts();
  startLineage();
  startTable();
  startDetail();
  for (const button of document.querySelectorAll("[data-theme-to]")) button.addEventListener("click", () => theme(button.dataset.themeTo));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => CHARTS.forEach((chart) => chart.repaint()));
  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-open]"), copier = event.target.closest?.("[data-copy]");
    if (opener) openDetail(RUN.byHash.get(opener.dataset.open));
    else if (copier && byId(copier.dataset.copy)) copy(copier, byId(copier.dataset.copy).textContent);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches?.("tr[data-open]")) openDetail(RUN.byHash.get(event.target.dataset.open));
    if (event.key === "/" && !event.target.matches?.("input, select, textarea")) {
      event.preventDefault();
      byId("filter").focus();
    }
  });
  drawAll();
  requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("ready")));
}

start();
