#compdef diffrec
# Completion of diffrec for zsh.

_diffrec() {
    local -a whole begun
    local line value entry
    for line in "${(@f)$(
        _DIFFREC_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
            _TYPER_COMPLETE_ARGS="${words[1,CURRENT]}" COLUMNS=1000 $words[1] 2>/dev/null
    )}"; do
        [[ -n $line ]] || continue
        value=${line%%$'\t'*}
        entry=${value//:/\\:}
        [[ $line == *$'\t'* ]] && entry+=:${line#*$'\t'}
        if [[ $value == *[/@=] ]]; then begun+=($entry); else whole+=($entry); fi
    done
    if (( ! $#whole && ! $#begun )); then
        _files
        return
    fi
    compset -P '--*='
    _describe diffrec whole -- begun -S ''
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _diffrec "$@"  # found in fpath, at the first TAB
else
    compdef _diffrec diffrec
fi
