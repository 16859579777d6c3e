// What every script of the page shares: the data, and few words of DOM.
const workbench = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);

  // As text() does in page.py: a mark that turns the direction is shown, not obeyed.
  const visible = (value) =>
    String(value).replace(
      /[\u202a-\u202e\u2066-\u2069]/g,
      (mark) => `\\u${mark.charCodeAt(0).toString(16)}`,
    );

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === undefined || value === null || value === false) continue;
      made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  };

  const say = (text) => {
    document.getElementById("status").textContent = text;
  };

  const save = (name, type, content) => {
    const link = element("a", {
      href: URL.createObjectURL(new Blob([content], { type })),
      download: name,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  return { data, visible, element, say, save };
})();
