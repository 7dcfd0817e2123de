// The runs: a table of all, and a page for each.
"use strict";

Object.assign(viewer, (() => {
  const { el, whole, plain, percent, seconds, badge, bar, interval, address, facts } = viewer;

  const HEADS = ["Run", "Agent", "Scored / planned", "Success, 95 % interval", "Score", "Steps", "Invalid", "Tokens/episode", "Time/episode"];

  function cells(total) {
    const n = total.scored;
    const tokens = total.prompt_tokens + total.completion_tokens;
    return [
      `${whole(total.scored)} / ${whole(total.planned)}`,
      [el("span", { class: "number" }, percent(total.success_rate)), " ",
        el("span", { class: "soft" }, interval(total.interval)), bar(total.success_rate, total.interval)],
      total.mean_score === null ? "–" : plain(100 * total.mean_score),
      total.mean_steps === null ? "–" : plain(total.mean_steps),
      percent(total.invalid_rate),
      n && tokens ? whole(tokens / n) : "–",
      n ? seconds(total.wall_seconds / n) : "–",
    ];
  }

  function line(first, second, total) {
    return el("tr", {}, [first, second, ...cells(total)].map((content, at) => (
      el(at ? "td" : "th", { "data-label": HEADS[at], scope: at ? null : "row" }, content))));
  }

  function table(heads, lines) {
    return el("div", { class: "sheet scroll" }, el("table", { class: "runs" },
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, lines)));
  }

  const several = (values) => values.slice(0, 3).map((value) => el("div", {}, value))
    .concat(values.length > 3 ? [el("div", { class: "soft" }, `and ${values.length - 3} more`)] : []);

  // All runs, with what a reader needs to choose one.
  function runTable() {
    return table(HEADS, viewer.site.runs.map((run) => line(
      [el("a", { href: address("run", { run: run.name }) }, run.name),
        el("div", { class: "soft" }, several(run.environments))],
      several(run.agents), run.all)));
  }

  async function runPage(query) {
    const run = viewer.site.runs.find((one) => one.name === query.get("run"));
    if (!run) return viewer.missing(`There is no run ${query.get("run")} in this site.`);
    const details = await viewer.load(`${run.number}/run`);
    const filtered = (values) => address("", { run: run.name, ...values });
    const outcomes = Object.entries(run.outcomes).map(([outcome, number]) => el("a", {
      class: "chip", href: filtered({ outcome }),
    }, badge(outcome), ` ${whole(number)}`));
    const types = details.rows.map((row) => line(
      row.task_type === "all" ? "all" : el("a", { href: filtered({ type: row.task_type }) }, row.task_type),
      run.agents.join(", "), row));
    const heads = ["Task type", ...HEADS.slice(1)];
    const json = (title, value) => value && el("details", { class: "sheet" },
      el("summary", {}, title), el("pre", {}, JSON.stringify(value, null, 2)));
    return {
      title: run.name,
      where: run.name,
      node: el("div", { class: "page" },
        el("h1", {}, run.name),
        facts([
          ["Environment", run.environments.join(", ")], ["Agent", run.agents.join(", ")],
          ["Digest of the settings", details.digest],
        ]),
        el("p", { class: "chips" }, outcomes.length ? outcomes : "No episode yet."),
        el("p", {}, el("a", { class: "button", href: filtered({}) }, "Its episodes")),
        table(heads, types),
        el("p", { class: "soft" }, "Rates and means are over scored episodes; the interval is Wilson's, with tasks as trials."),
        details.left_out && el("p", { class: "soft" }, "The settings are too large to be shown; they are in the run's config.json."),
        json("Settings that scores depend on", details.settings),
        json("Versions", details.versions)),
    };
  }

  return { runTable, runPage };
})());
