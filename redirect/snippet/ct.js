/* Clicktrace page snippet: README.md beside it says what it does. It is served minified (minify.py) under 5,000 bytes: comments and
   blanks go, `$name` (used in the whole script) and `_name` (used between two empty lines only) are shortened, so every statement
   ends with a semicolon. Nothing may throw into the page: all of it runs inside a `try`, and so does whatever is called later. */
(() => { try {

if (window.clicktrace) return;

let $document = document, $location = location, $history = history,
  $click_name = "ct_click", $consent_name = "ct_consent", $session_name = "ct_session",
  $script = $document.currentScript || $document.querySelector('[src*="/ct.js"]'),
  $options = $script.dataset,
  $endpoint = $script.src.replace(/\.js.*/, "/e"),
  $query = $location.search.slice(1),
  $visit = performance.getEntriesByType("navigation")[0] || {},
  $started = [],

$try = (_work, ..._given) => { try { return _work(..._given); } catch {} },

$safe = _work => (..._given) => $try(_work, ..._given),

$on = (_names, _work) => _names.split(" ").map(_name => addEventListener(_name, $safe(_work), !0)),

$read = (_element, _name) => _element.getAttribute(_name),

/* --- the click ID: the same derivation as core/identity.py, held to the same vectors --------------------------------------------- */

$hex = _bytes => [..._bytes].map(_byte => (_byte + 256).toString(16).slice(1)).join(""),

/* The first occurrence of a parameter, as written. A second "?" separates like "&". */
$parameter = (_text, _name) => (_text.split(/[?&]/).find(_pair => _pair.split("=")[0] == _name) || "").slice(_name.length + 1),

/* SHA-256 (FIPS 180-4) for pages without crypto.subtle, which are those without HTTPS. Its constants are the fractions of the square
   and cube roots of the first primes. */
$sha256 = _bytes => {
  let _k = [], _w = [], _words = [], _h = [], _at, _round, _v, _a, _b,
    _turn = (_value, _by) => _value >>> _by | _value << 32 - _by,
    _turns = (_value, _x, _y, _z) => _turn(_value, _x) ^ _turn(_value, _y) ^ _z;
  for (_at = 2; !_k[63]; _at++) {
    for (_round = 2; _at % _round;) _round++;
    if (_round == _at) { _h.push(_at ** .5 % 1 * 2 ** 32 | 0); _k.push(Math.cbrt(_at) % 1 * 2 ** 32 | 0); }
  }
  _h.length = 8;
  [..._bytes, 128].map((_byte, _at) => _words[_at >> 2] |= _byte << 24 - _at % 4 * 8);
  _words[_bytes.length + 8 >> 6 << 4 | 15] = _bytes.length * 8;
  for (_at = 0; _words.length > _at; _at += 16) {
    _v = [..._h];
    for (_round = 0; _round < 64; _round++) {
      _a = _w[_round - 15];
      _b = _w[_round - 2];
      _a = _w[_round] = _round < 16
        ? _words[_at + _round] | 0
        : _w[_round - 16] + _w[_round - 7] + _turns(_a, 7, 18, _a >>> 3) + _turns(_b, 17, 19, _b >>> 10) | 0;
      _b = _v[4];
      _a += _v.pop() + _turns(_b, 6, 11, _turn(_b, 25)) + (_b & _v[5] ^ ~_b & _v[6]) + _k[_round] | 0;
      _b = _v[0];
      _v[3] += _a;
      _v.unshift(_a + _turns(_b, 2, 13, _turn(_b, 22)) + (_b & _v[1] ^ _b & _v[2] ^ _v[1] & _v[2]) | 0);
    }
    _h = _h.map((_value, _which) => _value + _v[_which] | 0);
  }
  return new Uint8Array(new Uint32Array(_h.reverse()).buffer).reverse();
},

/* The first digits of a digest; all zeros becomes 1. */
$hash = async (_text, _digits, _then) => {
  let _subtle = crypto.subtle, _bytes = Uint8Array.from(_text, _letter => _letter.charCodeAt()),
    _digest = $hex(new Uint8Array(_subtle ? await _subtle.digest("SHA-256", _bytes) : $sha256(_bytes))).slice(0, _digits);
  $try(_then, /[^0]/.test(_digest) ? _digest : _digest.slice(1) + 1);
},

/* A value counts percent-decoded to bytes once ("+" and an invalid "%" stay), with 1 to 512 of them, unless it is an unfilled macro. */
$derive = (_text, _then) => {
  for (let _name of "gclid msclkid dclid fbclid ttclid twclid".split(" ")) {
    let _value = $parameter(_text, _name).replace(/%[\da-f]{2}/gi, unescape);
    if (/^(?!({[^]+}|__[^]+__|\[[^]+]|<[^]+>)$)[^]{1,512}$/.test(_value)) return $hash(_name + ":" + _value, 32, _then);
  }
  _then("");
},

$valid = _text => /^(?!0+$)[\da-f]{32}$/.test(_text) ? _text : "",

/* --- what is kept, and consent ---------------------------------------------------------------------------------------------------- */

$cookie = _name => $try(() => ("; " + $document.cookie).split("; " + _name + "=")[1].split(";")[0]) || "",

/* For 90 days if nothing else is said; "" takes the cookie away. */
$keep = (_name, _value, _seconds) => $try(() =>
  $document.cookie = _name + "=" + _value + ";Max-Age=" + (_value ? _seconds || 7776e3 : 0) + ";Path=/;SameSite=Lax"
    + ($location.protocol > "http:" ? ";Secure" : "") + ";Domain=" + ($options.domain || "")),

/* What stands in the request reached the redirect as well: the ID it minted upon a refusal is random, and may serve this page. */
$gpc = navigator.globalPrivacyControl, $asked = $parameter($query, $consent_name),

/* The newest click wins. Going back, or reloading, shows an address that may be older than the cookie. */
$identify = () => {
  let _kept = $valid($cookie($click_name)), _given = $valid($parameter($query, $click_name)),
    _known = $refused ? $told && _given : /^re|^b/.test($visit.type) && _kept || _given;
  $refused || _known ? $use(_known) : $derive($query, _derived => $refused || $use(_derived || _kept));
},

$use = _click => {
  $click = _click;
  $refused || _click == $cookie($click_name) || $keep($click_name, _click);
  _click ? $hash("root:" + _click, 16, _root => _click == $click && $begin("00-" + _click + "-" + _root + "-01")) : $begin(_click);
},

/* The click is known, or that there is none: hand the trace on, report the page. */
$begin = _trace => {
  $trace = _trace;
  if (!$document.querySelector("[name=traceparent]")) {
    $meta = $document.createElement("meta");
    $meta.name = "traceparent";
    $document.head.append($meta);
  }
  if ($meta) $meta.content = _trace;
  $ready = 1;
  $view();
  $document.readyState > "d" ? $on("load", $clean) : $clean();
  $document.dispatchEvent(new Event("clicktrace"));
},

/* Take our parameter out of the address once the cookie holds it and the page's own scripts had their turn. */
$clean = () => setTimeout($safe(() => {
  let _rest = $without($location.search);
  if ($click && $options.keep == null && $cookie($click_name) == $click && _rest != $location.search)
    $history.replaceState($history.state, "", $location.pathname + _rest + $location.hash);
})),

$without = _search => _search.replace(/[?&]ct_click=[^&]*/g, "").replace(/^&/, "?"),

/* --- events ------------------------------------------------------------------------------------------------------------------------ */

$track = (_name, _fields) => {
  $queue[49] || $queue.push({ name: _name, age: Date.now(), ..._fields });
  $timer = $timer || setTimeout($flush, 1e3);
},

/* A session ends half an hour after its last event, but not while a page of it is open. Ad blockers replace sendBeacon by a function
   that returns nothing, or false. */
$flush = $safe(() => {
  $timer = 0;
  if ($ready && $queue[0]) {
    $refused || $keep($session_name, $mark = $cookie($session_name) || $mark || Math.random().toString(36).slice(2), 1800);
    let _body = JSON.stringify({
      click: $click, session: $mark, consent: $refused, page: $page,
      events: $queue.map(_event => ({ ..._event, age: Date.now() - _event.age }))
    });
    $queue = [];
    $try(() => navigator.sendBeacon($endpoint, _body)) || fetch($endpoint, { method: "POST", body: _body, keepalive: !0, credentials: "include" }).catch($try);
  }
}),

/* A page is its path: a change of history that leaves it alone is no view. */
$view = () => {
  let _here = $location.origin + $location.pathname;
  if ($page != _here) { $flush(); $page = _here; $track("page_view"); }
},

$note = (_name, _attributes, _value) => $track(_name, { attributes: _attributes, value: _value }),

$form = (_name, _element, _field) => $note(_name, { form: $read(_element, "id") || $read(_element, "name") || "", field: _field }),

/* --- links and forms that lead to the site's other hosts --------------------------------------------------------------------------- */

$decorated = _address => $try(() => {
  let _url = new URL(_address, $document.baseURI), _rest = $without(_url.search), _host = _url.host;
  if (_host && _host != $location.host && ($options.sites || "%SITES%").split(" ").includes(_host) && $click && !$refused) {
    _url.search = (_rest ? _rest + "&" : "?") + $click_name + "=" + $click;
    return _url.href;
  }
}) || _address,

$decorate = (_element, _name) => {
  let _address = $read(_element, _name), _found = $decorated(_address);
  return _found != _address && !_element.setAttribute(_name, _found);
},

/* --- web vitals (web.dev/vitals): reported when the page is left, and again when they have changed since ---------------------------- */

$observe = (_type, _work) => $try(() =>
  new PerformanceObserver(_list => _list.getEntries().map(_work)).observe({ type: _type, buffered: !0, durationThreshold: 40 })),

$report = () => {
  for (let _name in $vitals) $note("web_vital", { metric: _name }, $vitals[_name]);
  $vitals = {};
  $flush();
},

$click = "", $trace = "", $told = $gpc || $asked, $refused = $gpc || /^no$/i.test($asked || $cookie($consent_name) || $options.consent) ? "no" : "",
  $queue = [], $vitals = { TTFB: $visit.responseStart }, $inp = 0, $cls = 0, $shift = 0, $from = 0, $last = 0, $errors = 0, $mark = "",
  $invalid, $ready, $timer, $page, $meta;

/* --- start -------------------------------------------------------------------------------------------------------------------------- */

window.clicktrace = {
  get click() { return $click; }, get traceparent() { return $trace; },
  consent: $safe(_given => {
    if ($gpc) return;
    $told = $mark = "";
    $refused = _given ? "" : "no";
    $keep($consent_name, $refused || "yes");
    if ($refused) { $keep($click_name, ""); $keep($session_name, ""); }
    $identify();
  }),
  decorate: $decorated, derive: $derive, flush: $flush, track: $track
};

$on("focusin", _event => {
  let _element = _event.target.form;
  $started.includes(_element) || ($form("form_start", _element), $started.push(_element));
});

/* A form sent with GET drops the query of its address: it gets a field. */
$on("submit", _event => {
  let _element = _event.target, _found = $decorate(_element, "action"), _field;
  $form("form_submit", _element);
  if (_found && !/post/i.test($read(_element, "method"))) {
    _field = _element.querySelector("[name=ct_click]") || $document.createElement("input");
    _field.type = "hidden";
    _field.name = $click_name;
    _field.value = $click;
    _element.append(_field);
  }
});

/* Every invalid field of one attempt speaks; the first is enough. */
$on("invalid", _event => {
  $invalid = $invalid || ($form("form_error", _event.target.form, _event.target.name), setTimeout(() => $invalid = 0));
});

$on("pointerdown click", _event => $decorate(_event.composedPath()[0].closest("[href]"), "href"));

$on("error unhandledrejection", _event => {
  let _said = _event.message || _event.reason;
  if (_said && $errors++ < 10) $note("js_error", { message: (_said + "").slice(0, 1e3), source: (_event.filename || "").split("?")[0] });
});

$on("visibilitychange", () => $document.hidden && $report());
$on("pagehide", $report);
$on("pageshow", _event => _event.persisted && $view($page = 0));
$on("popstate", $view);

["pushState", "replaceState"].map(_name => {
  let _original = $history[_name];
  $history[_name] = (..._given) => { _original.apply($history, _given); $try($view); };
});

$observe("largest-contentful-paint", _entry => $vitals.LCP = _entry.startTime);

/* CLS: the largest sum of shifts less than 1 s apart within 5 s. */
$observe("layout-shift", _entry => {
  let _time = _entry.startTime;
  if (!_entry.hadRecentInput) {
    if (_time - $last > 1e3 || _time - $from > 5e3) $shift = 0, $from = _time;
    $last = _time;
    if (($shift += _entry.value) > $cls) $vitals.CLS = $cls = $shift;
  }
});

/* INP as the slowest interaction: what it is up to 50 interactions. */
$observe("event", _entry => { if (_entry.interactionId && _entry.duration > $inp) $vitals.INP = $inp = _entry.duration; });

$document.prerendering ? $on("prerenderingchange", $identify) : $identify();

} catch {} })();
