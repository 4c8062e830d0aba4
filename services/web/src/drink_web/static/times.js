// Times are sent in UTC and shown in the zone of this computer. They are written as they arrive, before
// anything is drawn: one that was drawn and then written anew would move what stands beside it.
"use strict";

{
  const language = document.documentElement.lang;
  // How the reader writes times: en-GB is not en-US.
  const locale = navigator.languages.find((each) => each.startsWith(language)) ?? language;
  const shown = new WeakMap();
  let shortTime;

  const showTimes = () => {
    for (const each of document.querySelectorAll("time[datetime]")) {
      if (shown.get(each) === each.textContent) continue;
      // Made where there is a time: it takes a browser long to load what it knows of languages.
      shortTime ??= new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
      const text = shortTime.format(new Date(each.dateTime));
      if (each.textContent !== text) each.textContent = text;
      shown.set(each, text);
    }
  };

  new MutationObserver(showTimes).observe(document, { childList: true, subtree: true });
}
