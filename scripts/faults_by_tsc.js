// What TypeScript says of files: reads {name: text} from the file in argv[2], writes {name: {syntax, semantic}} as codes.
// Run in a folder with node_modules/{typescript,@types/react,@types/react-dom}. Modules that are not there are of type any.
const fs = require("fs");
const path = require("path");
const here = process.cwd();
const ts = require(require.resolve("typescript", { paths: [here] }));

const texts = new Map(Object.entries(JSON.parse(fs.readFileSync(process.argv[2], "utf8"))));
const shims = path.join(here, "shims.d.ts");
const given = new Map([[shims, "declare module '*';\ndeclare namespace NodeJS { type Timeout = any }\ndeclare var process: any;\n"]]);
for (const [name, text] of texts) given.set(path.join(here, name), text);

const options = {
  jsx: ts.JsxEmit.ReactJSX,
  target: ts.ScriptTarget.ESNext,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  types: [],
};
const disk = ts.createCompilerHost(options);
const libraries = new Map(); // parsed once, not once a file
const host = {
  ...disk,
  fileExists: (file) => given.has(file) || disk.fileExists(file),
  readFile: (file) => given.get(file) ?? disk.readFile(file),
  getSourceFile: (file, version) => {
    if (given.has(file)) return ts.createSourceFile(file, given.get(file), version, true);
    if (!libraries.has(file)) libraries.set(file, disk.getSourceFile(file, version));
    return libraries.get(file);
  },
};
const codes = {};
let before;
for (const name of texts.keys()) {
  const file = path.join(here, name);
  before = ts.createProgram([file, shims], options, host, before);
  const source = before.getSourceFile(file);
  const of = (found) => found.map((each) => each.code);
  codes[name] = { syntax: of(before.getSyntacticDiagnostics(source)), semantic: of(before.getSemanticDiagnostics(source)) };
}
console.log(JSON.stringify(codes));
