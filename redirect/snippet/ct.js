/* Clicktrace page snippet, minified by hand (under 5 kB as served; redirect/snippet/README.md names the short names). Reads or
   derives the click ID, keeps it 90 days, decorates links to the site's other hosts, reports events to POST /ct/e. Comments at
   the start of a line are removed when it is served. */
(function(w,d,n){
if(w.clicktrace)return;
var s=d.currentScript||{},a=s.dataset||{},l=location,E=a.endpoint||new URL(s.src).origin,S=(a.sites||"__SITES__").split(" "),q=[],T,V={},F=[],
Q=l.search.slice(1),C=n.globalPrivacyControl?"no":(P(Q,"ct_consent")||K("ct_consent")).toLowerCase(),R,
A=w.clicktrace={click:"",traceparent:"",derive:D,track:t,flush:f},I=H(crypto.getRandomValues(new Uint8Array(8)));
function H(u){return Array.from(u,function(x){return(x+256).toString(16).slice(1)}).join("")}
/* K: a cookie. P: first occurrence of a query parameter, as written. */
function K(k){return(("; "+d.cookie).split("; "+k+"=")[1]||"").split(";")[0]}
function P(q,k){for(var p=q.split("&"),i=0,e;i<p.length;i++){e=p[i].split("=");if(e[0]===k)return e.slice(1).join("=")}return""}
/* B: percent-decoded raw bytes; "+" and a wrong "%" stay, no UTF-8 step (the same as core/identity.py). */
function B(t){for(var o=[],u=new TextEncoder().encode(t),i=0,h;i<u.length;i++){h=u[i]-37?"":String.fromCharCode(u[i+1],u[i+2]);
if(/^[\da-f]{2}$/i.test(h)){o.push(parseInt(h,16));i+=2}else o.push(u[i])}return o}
/* Z: SHA-256 (FIPS 180-4) where crypto.subtle is missing, which is on pages without HTTPS. */
function Z(m){var k=[],h=[],c=2,W=[],L=m.length,p=m.concat(128),o=[],i,j,x,v,e,g,b;
function z(v){return(v%1)*4294967296|0}
function r(v,b){return v>>>b|v<<32-b}
for(;k.length<64;c++){for(i=2;c%i;)i++;if(i===c){h.push(z(Math.sqrt(c)));k.push(z(Math.cbrt(c)))}}
h.length=8;while(p.length%64-56)p.push(0);p.push(0,0,0,0,L>>>21,L>>>13&255,L>>>5&255,L<<3&255);
for(i=0;i<p.length;i+=64){v=h.slice();for(j=0;j<64;j++){x=i+4*j;e=W[j-15];g=W[j-2];
W[j]=j<16?p[x]<<24|p[x+1]<<16|p[x+2]<<8|p[x+3]:W[j-16]+W[j-7]+(r(e,7)^r(e,18)^e>>>3)+(r(g,17)^r(g,19)^g>>>10)|0;
e=v[4];g=v[0];x=v[7]+(r(e,6)^r(e,11)^r(e,25))+(e&v[5]^~e&v[6])+k[j]+W[j]|0;
b=(r(g,2)^r(g,13)^r(g,22))+(g&v[1]^g&v[2]^v[1]&v[2])|0;v=[x+b|0,g,v[1],v[2],v[3]+x|0,e,v[5],v[6]]}
for(j=0;j<8;j++)h[j]=h[j]+v[j]|0}
for(i=0;i<32;i++)o.push(h[i>>2]>>>24-i%4*8&255);return o}
/* N: first n bytes of the digest as hex, all zeros becomes 1. D: the click ID of a query's platform ID, "" when there is none. */
function N(m,n,y){var c=crypto.subtle;function g(o){o=H(o.slice(0,n));y(/[^0]/.test(o)?o:o.slice(1)+1)}
c?c.digest("SHA-256",new Uint8Array(m)).then(function(o){g(new Uint8Array(o))}):g(Z(m))}
function D(q,y){var p=["gclid","msclkid","dclid","fbclid","ttclid","twclid"],i=0,o;for(;i<6;i++){o=B(P(q,p[i]));
if(o.length&&o.length<513&&!/^(\{[^]+\}|__[^]+__|\[[^]+]|<[^]+>)$/.test(String.fromCharCode.apply(0,o)))return N(B(p[i]+":").concat(o),16,y)}y("")}
function O(x){return/^(?!0+$)[\da-f]{32}$/.test(x)&&x}
function t(k,o){q.push(Object.assign({name:k,age:Date.now()},o));if(R)q.length<20?T=T||setTimeout(f,1e3):f()}
function f(){clearTimeout(T);T=0;if(!R||!q.length)return;var g,u=E+"/ct/e",b=JSON.stringify({click:A.click,session:I,page:l.origin+l.pathname,consent:C,
events:q.splice(0,50).map(function(e){e.age=Date.now()-e.age;return e})});
try{g=n.sendBeacon(u,b)}catch(x){}
g||fetch(u,{method:"POST",body:b,keepalive:!0,credentials:"include",headers:{"Content-Type":"text/plain"}}).catch(function(){});f()}
function G(x){A.click=x;if(!x)return X();if(C!=="no")d.cookie="ct_click="+x+";Max-Age=7776000;Path=/;SameSite=Lax"+(l.protocol>"http:"?";Secure":"")+(a.domain?";Domain="+a.domain:"");
N(B("root:"+x),8,function(r){A.traceparent="00-"+x+"-"+r+"-01";X()})}
function X(){R=1;t("page_view",{duration:performance.now()});d.dispatchEvent(new Event("clicktrace"))}
function J(k){return function(e){e=e.target;e=e.form||e;t(k,{attributes:{form:(e.id||e.name||"")+""}})}}
function M(e){t("js_error",{attributes:{message:((e.message||e.reason)+"").slice(0,250),source:(e.filename||"").split("?")[0]}})}
function Y(k,y){try{new PerformanceObserver(function(x){x.getEntries().forEach(y)}).observe({type:k,buffered:!0})}catch(x){}}
function U(e){e=e.target;e=e.closest&&e.closest("a[href]");if(e&&e.host&&A.click&&e.host!==l.host&&S.indexOf(e.host)>=0){var u=new URL(e.href);u.searchParams.set("ct_click",A.click);e.href=u}}
function W(){for(var k in V)t("web_vital",{value:V[k],attributes:{metric:k}});V={};f()}
function L(o,k,y){o.addEventListener(k,y,!0)}
L(d,"focusin",function(e){var g=e.target.form;if(g&&F.indexOf(g)<0){F.push(g);J("form_start")(e)}});
L(d,"submit",J("form_submit"));L(d,"invalid",J("form_error"));L(d,"click",U);L(d,"auxclick",U);
L(w,"error",function(e){e.message&&M(e)});L(w,"unhandledrejection",M);
L(d,"visibilitychange",function(){d.hidden&&W()});L(w,"pagehide",W);
Y("largest-contentful-paint",function(e){V.LCP=e.startTime});Y("layout-shift",function(e){e.hadRecentInput||(V.CLS=(V.CLS||0)+e.value)});
Y("navigation",function(e){V.TTFB=e.responseStart});
O(P(Q,"ct_click"))?G(P(Q,"ct_click")):C==="no"?G(""):D(Q,function(x){G(x||O(K("ct_click"))||"")})
})(window,document,navigator)
