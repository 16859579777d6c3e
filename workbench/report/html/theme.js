// Runs in the head, so that a dark page never flashes white. The choice is remembered where the
// browser allows it: a file opened from a disk may have no storage.
(() => {
  const KEY = "workbench-theme";
  const ORDER = ["system", "light", "dark"];
  const NAMES = { system: "as the system", light: "light", dark: "dark" };
  let theme = "system";
  try {
    theme = localStorage.getItem(KEY) ?? "system";
  } catch {
    // No storage: the choice lasts as long as the page.
  }
  if (!ORDER.includes(theme)) theme = "system";

  const apply = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (!button) return;
    button.textContent = { system: "◐", light: "○", dark: "●" }[theme];
    button.setAttribute("aria-label", `Theme: ${NAMES[theme]}`);
    button.title = `Theme: ${NAMES[theme]}`;
  };
  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme")?.addEventListener("click", () => {
      theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // As above.
      }
      apply();
    });
  });
})();
