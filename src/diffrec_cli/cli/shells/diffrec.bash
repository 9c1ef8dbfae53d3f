# Completion of diffrec for bash. What 3.2 (of macOS) does not know, compopt, it does without.

_diffrec() {
    local line=${COMP_LINE:0:COMP_POINT} typed candidate
    COMPREPLY=()
    # bash also breaks words at "@" and "=", and replaces only what follows the last break, which
    # is $2. So candidates lose what stands before it in the word.
    typed=${line##*[[:space:]]}
    case $typed in --*=*) typed=${typed#*=} ;; esac
    case $2 in [@=]) ;; *) typed=${typed%"$2"} ;; esac
    while IFS= read -r candidate; do
        candidate=${candidate%%$'\t'*}
        [ -n "$candidate" ] || continue
        if [ -e "$candidate" ]; then
            compopt -o filenames 2>/dev/null && candidate=${candidate%/} # bash adds the slash
        fi
        case $candidate in *[/@=]) compopt -o nospace 2>/dev/null ;; esac
        COMPREPLY+=("${candidate#"$typed"}")
    done < <(
        _DIFFREC_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
            _TYPER_COMPLETE_ARGS=$line COLUMNS=1000 "$1" 2>/dev/null
    )
}

complete -o bashdefault -o default -F _diffrec diffrec
