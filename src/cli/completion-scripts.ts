/** What shells read to complete `keyway`: each asks the program itself, by the hidden command `__complete`. */

/**
 * Bash breaks words at `=` and `:`, so the line itself is handed over, and of each candidate what stands before the
 * last such break in the word is taken off again.
 */
const bash = `# Completion of keyway for bash. Load it: source <(keyway completion bash)
_keyway() {
  local line="\${COMP_LINE:0:COMP_POINT}" word="\${COMP_WORDS[COMP_CWORD]}" candidate tail before
  COMPREPLY=()
  tail="\${line##*[[:space:]]}"
  case "$word" in =|:) word= ;; esac
  before="\${tail%"$word"}"
  while IFS=$'\\t' read -r candidate _; do
    [[ -n $candidate ]] && COMPREPLY+=("\${candidate#"$before"}")
  done < <("\${COMP_WORDS[0]}" __complete --line "$line" 2>/dev/null)
  if [[ \${#COMPREPLY[@]} -gt 0 ]]; then
    compopt +o default
    [[ \${COMPREPLY[0]} == *[/=] ]] && compopt -o nospace
  fi
}
complete -o default -F _keyway keyway
`;

const zsh = `#compdef keyway
# Completion of keyway for zsh. Load it: source <(keyway completion zsh)
_keyway() {
  local -a plain open plain_text open_text
  local line candidate text
  while IFS= read -r line; do
    [[ -z $line ]] && continue
    candidate="\${line%%$'\\t'*}"
    text="$candidate"
    [[ $line == *$'\\t'* ]] && text="$candidate  -- \${line#*$'\\t'}"
    if [[ $candidate == *[/=] ]]; then open+=("$candidate") open_text+=("$text")
    else plain+=("$candidate") plain_text+=("$text"); fi
  done < <("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#plain} + \${#open} == 0 )); then _files; return; fi
  (( \${#plain} )) && compadd -l -d plain_text -a plain
  (( \${#open} )) && compadd -S '' -l -d open_text -a open
}
if [[ \${funcstack[1]} == _keyway ]]; then _keyway "$@"; else compdef _keyway keyway; fi
`;

const fish = `# Completion of keyway for fish. Load it: keyway completion fish | source
function __keyway_complete
    set -l words (commandline -opc)
    $words[1] __complete -- $words[2..] (commandline -ct) 2>/dev/null
end
complete -c keyway -f -a '(__keyway_complete)'
complete -c keyway -n '__fish_seen_subcommand_from apply plan' -s f -l file -r -F
complete -c keyway -l token-file -r -F
`;

export const completionScripts = { bash, zsh, fish };
export type Shell = keyof typeof completionScripts;
export const shells = Object.keys(completionScripts) as Shell[];
