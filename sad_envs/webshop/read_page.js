// Read the page that a browser shows; null while it is still the one marked as left, or loading.
if (window.webshopLeft || document.readyState !== "complete" || !document.body) return null;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const texts = (selector, within) => all(selector, within).map((element) => element.textContent);
const HIDDEN = new Set(["STYLE", "SCRIPT", "HEAD", "TITLE", "META"]);
const visible = [];
const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  if (!HIDDEN.has(walker.currentNode.parentNode.nodeName)) visible.push(walker.currentNode.data);
}
return {
  path: window.location.pathname,
  kind: document.body.className,
  texts: visible,
  count: texts("#page-number").join(""),
  products: all(".list-group-item").map((card) => [
    texts(".product-link", card).join(""),
    texts(".product-title", card).join(""),
    texts(".product-price", card).join(""),
  ]),
  groups: all(".radio-toolbar").map((group) => ({
    name: group.previousElementSibling.textContent,
    values: all("input[type=radio]", group).map((radio) => radio.value),
    chosen: all("input[type=radio]:checked", group).map((radio) => radio.value),
  })),
  title: texts("#product-title").join(""),
  price: texts("#product-price").join(""),
  buttons: texts(".btn"),
  details: texts(".product-info"),
  attributes: texts(".attribute"),
  filed: texts(".product-category, .product-query, .product-product_category"),
  reward: texts("#reward pre").join(""),
  rewardInfo: texts("#reward_info").join(""),
  message: texts(".error-page .sheet p").join(" "),
};
