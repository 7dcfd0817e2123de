// Choosing an option goes to the page that has it chosen; focus and scroll position stay.
(() => {
  "use strict";
  const KEY = "webshop-option";

  const remember = (value) => {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(value));
    } catch {
      // Without storage the page just begins at its top.
    }
  };
  const recall = () => {
    try {
      const value = JSON.parse(sessionStorage.getItem(KEY));
      sessionStorage.removeItem(KEY);
      return value;
    } catch {
      return null;
    }
  };

  for (const radio of document.querySelectorAll(".radio-toolbar input[type=radio]")) {
    radio.addEventListener("change", () => {
      const picture = document.getElementById("product-image");
      if (picture && radio.dataset.image) picture.src = radio.dataset.image;
      remember({ id: radio.id, name: radio.name, top: window.scrollY });
      window.location.assign(radio.dataset.url);
    });
  }

  const chosen = recall();
  const radio = chosen && document.getElementById(chosen.id);
  if (radio && radio.name === chosen.name && radio.checked) {
    radio.focus({ preventScroll: true });
    window.scrollTo(0, chosen.top);
  }

  for (const picture of document.querySelectorAll("img.picture")) {
    const draw = () => {
      if (!picture.src.endsWith(picture.dataset.drawing)) picture.src = picture.dataset.drawing;
    };
    picture.addEventListener("error", draw);
    if (picture.complete && picture.naturalWidth === 0 && picture.getAttribute("src")) draw();
  }
})();
