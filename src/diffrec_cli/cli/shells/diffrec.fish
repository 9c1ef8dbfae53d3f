# Completion of diffrec for fish.

# Put what may come next into __diffrec_found; fail if that is nothing: fish then offers files.
function __diffrec_ask
    set -l program (commandline --tokenize --cut-at-cursor --current-process)[1]
    set -l word (commandline --current-token --cut-at-cursor)
    # Of --option=value fish wants the whole again, and it is answered with values.
    set -l option (string match --regex -- '^--[^=]+=' $word; or echo)
    set -g __diffrec_found $option(env _DIFFREC_COMPLETE=complete_fish COLUMNS=1000 \
        _TYPER_COMPLETE_FISH_ACTION=get-args \
        _TYPER_COMPLETE_ARGS=(commandline --cut-at-cursor --current-process | string collect) \
        $program 2>/dev/null | string match --regex -- '.+')
    set -q __diffrec_found[1]
end

complete --command diffrec --condition __diffrec_ask --no-files \
    --arguments '(printf "%s\n" $__diffrec_found)'
