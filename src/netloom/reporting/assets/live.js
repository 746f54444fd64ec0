// News of a running search: the server says that there are some, the page reads them and stays where its reader is.
function refresh(news) {
  read(news.data);
  for (const [place, html] of Object.entries(news.parts)) {
    const element = byId(`part-${place}`);
    // These are written by netloom, as those of the page itself were, and escaped there.
    if (element && element.dataset.html !== html) {
      const { scrollTop, scrollLeft } = element, open = [...element.querySelectorAll("details")].map((each) => each.open);
      element.innerHTML = html;
      element.dataset.html = html;
      [...element.querySelectorAll("details")].forEach((each, i) => (each.open = open[i] ?? false));
      [element.scrollTop, element.scrollLeft] = [scrollTop, scrollLeft];
    }
  }
  const { scrollTop } = byId("table-frame");
  drawAll();
  byId("table-frame").scrollTop = scrollTop;
}

function startLive() {
  const said = byId("live");
  said.hidden = false;
  let busy = false, again = false;
  const load = async () => {
    if (busy) return void (again = true);
    busy = true;
    try {
      const answer = await fetch("data");
      if (answer.ok) refresh(await answer.json());
    } finally {
      busy = false;
      if (again) {
        again = false;
        load();
      }
    }
  };
  const say = (kind, words) => {
    said.className = `live ${kind}`;
    said.textContent = words;
  };
  const events = new EventSource(`events?version=${JSON.parse(byId("data").textContent).version}`);
  events.addEventListener("open", () => say("on", "live"));
  events.addEventListener("error", () => say("off", "the server is gone; the page shows what was last known"));
  events.addEventListener("status", (event) => say(event.data === "running" ? "on" : "done", event.data === "running" ? "live" : event.data));
  events.addEventListener("news", load);
}

startLive();
