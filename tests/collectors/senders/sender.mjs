// The JavaScript SDK as a shop would use it: a few spans and a number, sent once. What to send is one JSON argument:
// {"url", "key", "encoding": "json" | "protobuf", "compression": "gzip" | "none", "traces", "attributes"}
import { context, metrics, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const { url, key, encoding, compression, traces = 1, attributes = {} } = JSON.parse(process.argv[2]);
const Exporter = encoding === "json" ? JsonExporter : ProtobufExporter;
const options = { headers: { authorization: `Bearer ${key}` }, compression, timeoutMillis: 20_000 };
const resource = resourceFromAttributes({ "service.name": "shop-js", "service.version": "3.1" });

const provider = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(new Exporter({ url: `${url}/v1/traces`, ...options }), { maxQueueSize: 100_000 })],
});
const tracer = provider.getTracer("shop", "1.0");
for (let number = 0; number < traces; number++) {
  const server = tracer.startSpan("POST /order", { kind: SpanKind.SERVER });
  server.setAttributes({
    "http.route": "/order",
    "http.response.status_code": 500,
    "basket.items": ["a", "b"],
    "basket.total": 59.9,
    "basket.gift": true,
    ...attributes,
  });
  const child = tracer.startSpan("INSERT order", { kind: SpanKind.CLIENT }, trace.setSpan(context.active(), server));
  child.setAttribute("db.system.name", "postgresql");
  child.end();
  server.recordException(new TypeError("no stock"));
  server.setStatus({ code: SpanStatusCode.ERROR });
  server.end();
}
await provider.shutdown();

const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter({ url: `${url}/v1/metrics`, ...options }) });
const meters = new MeterProvider({ resource, readers: [reader] });
const meter = meters.getMeter("shop");
meter.createUpDownCounter("queue.depth").add(3, { queue: "orders" });
meter.createHistogram("latency").record(0.25);
await meters.shutdown();
metrics.disable();
console.log("sent");
