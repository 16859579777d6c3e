// A run under way: what the server sends is put in place until the run has ended.
(() => {
  const live = document.getElementById("live");
  const lost = document.getElementById("lost");
  if (live.querySelector("[data-state]").dataset.state !== "running") return;

  const source = new EventSource(`${location.pathname}/events`);
  let said = "";
  const put = (event) => {
    const found = JSON.parse(event.data);
    if (found.state === "gone") location.reload(); // to the run, which is made
    if (found.html) live.innerHTML = found.html;
    lost.hidden = found.state !== "lost";
    if (found.state === "lost") lost.textContent = found.said;
    if (found.said !== said) workbench.say((said = found.said));
  };
  source.addEventListener("state", put);
  source.addEventListener("end", (event) => {
    put(event);
    source.close();
  });
  source.addEventListener("error", () => {
    lost.hidden = false;
    lost.textContent = "The server does not answer; it is asked again.";
  });
})();
