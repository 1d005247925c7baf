// Judges manifests of the Prometheus operator: values by its schemas, and unknown keys by its types, since the schemas let
// those pass.
//
// Usage: operator.mjs MANIFESTS.json   A list of manifests. Packages are found through OPERATOR_MODULES.

import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const modules = process.env.OPERATOR_MODULES;
const folder = path.join(modules, "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1");
const ts = createRequire(path.join(modules, "x.js"))("typescript");
const { PodMonitor, ServiceMonitor, PrometheusRule } = await import(pathToFileURL(path.join(folder, "index.js")));
const kinds = { PodMonitor, ServiceMonitor, PrometheusRule };

const manifests = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const problems = [];
const typed = [];
for (const manifest of manifests) {
  const name = `${manifest.kind} ${manifest.metadata?.name}`;
  const Kind = kinds[manifest.kind];
  if (!Kind || manifest.apiVersion !== "monitoring.coreos.com/v1") {
    problems.push(`${name}: unknown kind of ${manifest.apiVersion}`);
    continue;
  }
  try {
    new Kind(manifest).validate();
  } catch (error) {
    problems.push(`${name}: ${error.message}`);
  }
  typed.push(`export const m${typed.length}: operator.I${manifest.kind} =\n${JSON.stringify(manifest, null, 2)};`);
}

// In memory, beside the packages that it imports.
const file = path.join(modules, "../judged.ts");
const text = `import type * as operator from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";\n${typed.join("\n")}`;
const options = {
  noEmit: true, strict: true, skipLibCheck: true, types: [],
  module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext,
};
const host = ts.createCompilerHost(options);
const read = host.getSourceFile.bind(host);
host.getSourceFile = (name, version) =>
  name === file ? ts.createSourceFile(name, text, version) : read(name, version);
const exists = host.fileExists.bind(host);
host.fileExists = (name) => name === file || exists(name);
const program = ts.createProgram([file], options, host);
for (const found of ts.getPreEmitDiagnostics(program)) {
  const line = found.file ? found.file.text.split("\n")[found.file.getLineAndCharacterOfPosition(found.start).line] : "";
  problems.push(`${line.trim()} ${ts.flattenDiagnosticMessageText(found.messageText, "\n")}`);
}

if (problems.length || !manifests.length) {
  console.error(problems.join("\n") || "no manifests");
  process.exit(1);
}
console.log(`${manifests.length} manifests are good`);
