import { relative } from 'node:path';
import * as ast from 'typescript/unstable/ast';
import * as is from 'typescript/unstable/ast/is';
import { API, type Project } from 'typescript/unstable/sync';

/**
 * Calls of `query` whose statement is not written in the source: each as `file:line: the expression that is not`. A
 * statement is written in the source if it is made of literals, of constants of a module that are, and of what functions
 * of this project make of such texts alone. `isLookedAt` chooses files by their path from `root`.
 *
 * A method or function that is itself called `query` hands on what it is given: its callers are looked at instead.
 */
export function builtStatements(
  root: string,
  configFile: string,
  isLookedAt: (file: string) => boolean,
): { readonly calls: number; readonly built: readonly string[] } {
  const api = new API({ cwd: root });
  try {
    const project = api.updateSnapshot({ openProjects: [configFile] }).getProjects()[0];
    if (project === undefined) throw new Error(`TypeScript opened no project for ${configFile}.`);
    let calls = 0;
    const built: string[] = [];
    for (const fileName of project.program.getSourceFileNames()) {
      const file = relative(root, fileName);
      const source = isLookedAt(file) ? project.program.getSourceFile(fileName) : undefined;
      if (source === undefined) continue;
      const visit = (node: ast.Node): void => {
        if (is.isCallExpression(node) && nameOfCalled(node.expression) === 'query') {
          calls += 1;
          const statement = statementOf(node);
          const variable = statement === undefined ? node : firstVariable(project, statement, new Set());
          if (variable !== null)
            built.push(`${file}:${lineOf(source, variable)}: ${textOf(source, variable)}`);
        }
        node.forEachChild(visit);
      };
      visit(source);
    }
    return { calls, built };
  } finally {
    api.close();
  }
}

function nameOfCalled(called: ast.Node): string | null {
  if (is.isPropertyAccessExpression(called) || is.isIdentifier(called)) {
    return is.isIdentifier(called) ? called.text : called.name.text;
  }
  // `x['query']` is found as well.
  return is.isElementAccessExpression(called) && is.isStringLiteral(called.argumentExpression)
    ? called.argumentExpression.text
    : null;
}

/** The statement of a call of `query`, in either form that pg takes. */
function statementOf({ arguments: given }: ast.CallExpression): ast.Node | undefined {
  const first = given[0];
  if (first === undefined || !is.isObjectLiteralExpression(first)) return first;
  const text = first.properties.find(
    (property) =>
      is.isPropertyAssignment(property) && is.isIdentifier(property.name) && property.name.text === 'text',
  );
  return text !== undefined && is.isPropertyAssignment(text) ? text.initializer : undefined;
}

/** The first part of an expression that is not written in the source; `null`: there is none. `fixed`: parameters that are. */
function firstVariable(project: Project, node: ast.Node, fixed: ReadonlySet<ast.Node>): ast.Node | null {
  const all = (parts: Iterable<ast.Node>) => {
    for (const part of parts) {
      const variable = firstVariable(project, part, fixed);
      if (variable !== null) return variable;
    }
    return null;
  };
  if (is.isStringLiteral(node) || is.isNoSubstitutionTemplateLiteral(node)) return null;
  if (is.isTemplateExpression(node)) return all(node.templateSpans.map(({ expression }) => expression));
  if (is.isTaggedTemplateExpression(node)) {
    const isRaw = is.isPropertyAccessExpression(node.tag) && node.tag.name.text === 'raw';
    return isRaw ? all([node.template]) : node;
  }
  if (is.isParenthesizedExpression(node) || is.isAsExpression(node) || is.isSatisfiesExpression(node)) {
    return all([node.expression]);
  }
  if (is.isConditionalExpression(node)) return all([node.whenTrue, node.whenFalse]);
  if (is.isBinaryExpression(node)) return all([node.left, node.right]);
  if (is.isIdentifier(node)) {
    const declaration = declarationOf(project, node);
    return declaration !== undefined && isFixed(project, declaration, fixed) ? null : node;
  }
  if (is.isCallExpression(node)) {
    const declaration = declarationOf(project, node.expression);
    return declaration !== undefined && makesFixed(project, declaration, fixed) ? all(node.arguments) : node;
  }
  return node;
}

function isFixed(project: Project, declaration: ast.Node, fixed: ReadonlySet<ast.Node>): boolean {
  if (fixed.has(declaration)) return true;
  if (is.isParameterDeclaration(declaration)) return functionName(declaration.parent) === 'query';
  if (!is.isVariableDeclaration(declaration) || declaration.initializer === undefined) return false;
  const isConstant = (declaration.parent.flags & ast.NodeFlags.Const) !== 0;
  return isConstant && firstVariable(project, declaration.initializer, fixed) === null;
}

/** Whether a function makes a text that is written in the source, if what it is given is. */
function makesFixed(project: Project, declaration: ast.Node, fixed: ReadonlySet<ast.Node>): boolean {
  const made =
    is.isVariableDeclaration(declaration) && declaration.initializer !== undefined
      ? declaration.initializer
      : declaration;
  if (!is.isFunctionDeclaration(made) && !is.isArrowFunction(made)) return false;
  const inside = new Set([...fixed, ...made.parameters]);
  const { body } = made;
  if (body === undefined) return false;
  const usual = made.parameters.flatMap(({ initializer }) => initializer ?? []);
  if (usual.some((value) => firstVariable(project, value, fixed) !== null)) return false;
  if (!is.isBlock(body)) return firstVariable(project, body, inside) === null;
  let returns = 0;
  let isMade = true;
  const visit = (node: ast.Node): void => {
    if (is.isReturnStatement(node)) {
      returns += 1;
      isMade &&= node.expression !== undefined && firstVariable(project, node.expression, inside) === null;
    }
    node.forEachChild(visit);
  };
  visit(body);
  return returns > 0 && isMade;
}

function functionName(made: ast.Node): string | null {
  const { name } = made as { name?: ast.Node };
  if (name !== undefined && is.isIdentifier(name)) return name.text;
  const holder = made.parent;
  return is.isPropertyAssignment(holder) && is.isIdentifier(holder.name) ? holder.name.text : null;
}

function declarationOf(project: Project, node: ast.Node): ast.Node | undefined {
  const symbol = project.checker.getSymbolAtLocation(node);
  if (symbol === undefined) return undefined;
  const isAlias = symbol.valueDeclaration === undefined;
  const { valueDeclaration } = isAlias ? project.checker.getAliasedSymbol(symbol) : symbol;
  return valueDeclaration?.resolve(project);
}

function lineOf(source: ast.SourceFile, node: ast.Node): number {
  return source.text.slice(0, node.getStart()).split('\n').length;
}

function textOf(source: ast.SourceFile, node: ast.Node): string {
  return source.text.slice(node.getStart(), node.end);
}
