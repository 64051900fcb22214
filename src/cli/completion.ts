/** `mizzen completion`: a script that completes commands, options and their choices in a shell. */
import { Argument, type Command, Command as NewCommand } from 'commander';

type Shell = 'bash' | 'zsh' | 'fish';

interface Word {
  readonly text: string;
  readonly what: string;
}

export function completionCommand(program: () => Command): Command {
  return new NewCommand('completion')
    .description('print a completion script for a shell')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .addHelpText(
      'after',
      `
Examples:
  source <(mizzen completion bash)
  mizzen completion zsh > "\${fpath[1]}/_mizzen"
  mizzen completion fish > ~/.config/fish/completions/mizzen.fish`,
    )
    .action((shell: Shell) => {
      process.stdout.write(completionScript(program(), shell));
    });
}

export function completionScript(program: Command, shell: Shell): string {
  const commands = program.createHelp().visibleCommands(program);
  const top = commands.map((c) => ({ text: c.name(), what: c.description() }));
  const byCommand = commands.map((c) => ({ name: c.name(), words: wordsOf(c) }));
  return { bash, zsh, fish }[shell](top, byCommand);
}

interface CommandWords {
  readonly name: string;
  readonly words: readonly Word[];
}

/** Long options, and the values that an argument may have. */
function wordsOf(command: Command): Word[] {
  const options = command.options.flatMap((o) => (o.long === undefined ? [] : [{ text: o.long, what: o.description }]));
  const values = command.registeredArguments.flatMap((a) => (a.argChoices ?? []).map((text) => ({ text, what: a.description })));
  return [...values, ...options];
}

function bash(top: readonly Word[], byCommand: readonly CommandWords[]): string {
  const cases = byCommand.map(({ name, words }) => `    ${name}) words="${words.map((w) => w.text).join(' ')}" ;;`);
  return `_mizzen() {
  local words="${top.map((w) => w.text).join(' ')}"
  if [ "$COMP_CWORD" -gt 1 ]; then case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
    *) words="" ;;
  esac; fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _mizzen mizzen
`;
}

function zsh(top: readonly Word[], byCommand: readonly CommandWords[]): string {
  const described = (words: readonly Word[]): string => words.map((w) => quoted(`${w.text.replaceAll(':', '\\:')}:${w.what}`)).join(' ');
  const cases = byCommand.map(({ name, words }) => `      ${name}) choices=(${described(words)}) ;;`);
  return `#compdef mizzen
_mizzen() {
  local -a choices
  if (( CURRENT == 2 )); then
    choices=(${described(top)})
  else
    case "$words[2]" in
${cases.join('\n')}
    esac
  fi
  _describe -o mizzen choices
  _files
}
if [ "$funcstack[1]" = "_mizzen" ]; then _mizzen "$@"; else compdef _mizzen mizzen; fi
`;
}

function fish(top: readonly Word[], byCommand: readonly CommandWords[]): string {
  const lines = top.map((w) => `complete -c mizzen -n __fish_use_subcommand -f -a ${w.text} -d ${quoted(w.what)}`);
  for (const { name, words } of byCommand) {
    const when = quoted(`__fish_seen_subcommand_from ${name}`);
    for (const { text, what } of words) {
      lines.push(
        text.startsWith('--')
          ? `complete -c mizzen -n ${when} -l ${text.slice(2)} -d ${quoted(what)}`
          : `complete -c mizzen -n ${when} -f -a ${text} -d ${quoted(what)}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

/** In single quotes, for all three shells. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
