#!/usr/bin/env bash
# Add-ons, one after the other: what the driver's orders left in a ConfigMap.
# The member with the Lease goes on where the last one was; what is known of
# each is in another ConfigMap.

addons::main() {
    local plan open=false blocked=false pairs=() name id kind state serial
    local -A states=()
    plan="$(addons::data magnum-addons '{{.order}}')" ||
        fail "The add-ons cannot be read."
    [[ -n "$plan" ]] || return 0
    serial="$(config::get secrets serial)"
    addons::read_states
    while read -r name id _ kind; do
        addons::is_over "$name" "$id" "$kind" || open=true
    done <<<"$plan"
    "$open" || return 0
    lease::take || return 0
    trap lease::release EXIT
    addons::read_states
    while read -r name id _ kind; do
        if ! addons::is_over "$name" "$id" "$kind"; then
            state=waiting
            "$blocked" || state="$(addons::advance "$name" "$id" "$kind")"
            states["$name"]="$id $state"
            addons::is_over "$name" "$id" job || blocked=true
        fi
        pairs+=("$name" "$(json::string "${states[$name]}")")
    done <<<"$plan"
    addons::write "${pairs[@]}" serial "\"$serial\"" ||
        fail "The add-ons' states are not noted."
}

# addons::data CONFIGMAP TEMPLATE: nothing when there is none.
addons::data() {
    kube::as_admin --namespace kube-system get configmap "$1" \
        --ignore-not-found --output "go-template={{with .data}}$2{{end}}"
}

addons::read_states() {
    local name state
    states=()
    while read -r name state; do
        [[ -z "$name" ]] || states["$name"]="$state"
    done < <(addons::states)
}

# One line for each: name, id, state, message.
addons::states() {
    addons::data magnum-addon-states \
        "{{range \$name, \$state := .}}{{\$name}} {{\$state}}
{{end}}"
}

# addons::is_over NAME ID KIND: objects are applied again when the secrets of
# this member, which stand in them, are others.
addons::is_over() {
    [[ "${states["$1"]:-} " == "$2 "@(done|failed)" "* ]] &&
        [[ "$3" == job || "${states[serial]:-}" == "$serial" ]]
}

# addons::advance NAME ID KIND: says the state, perhaps with a message.
addons::advance() {
    local job="magnum-addon-$1" found="" error template state='done'
    if [[ "$3" == job ]]; then
        state=installing
        template='{{index .metadata.labels "magnum.openstack.org/addon-id"}}'
        template+='{{range .status.conditions}} {{.type}}={{.status}}{{end}}'
        found="$(kube::as_admin --namespace kube-system get job "$job" \
            --ignore-not-found --output "go-template=$template" 2>&1)" ||
            found="$2"
    fi
    # An old Job cannot be changed, and the pod of one that is done is one that
    # does not run.
    [[ -z "$found" || "$found" == "$2"* && "$found" != *Complete=True* ]] ||
        kube::as_admin --namespace kube-system delete job "$job" >/dev/null ||
        true
    case "$found" in
        "$2 "*Complete=True*) state='done' ;;
        "$2 "*Failed=True*) state="failed $(addons::says "$job")" ;;
        "$2"*) state="installing $(addons::says "$job")" ;;
        *)
            error="$(addons::apply "$1" 2>&1)" ||
                state="installing $(redact <<<"${error##*$'\n'}")"
            ;;
    esac
    printf '%s' "$state"
}

# addons::apply NAME
addons::apply() {
    local text key
    text="$(addons::data magnum-addons "{{index . \"$1\"}}")" || return 1
    for key in id secret user password; do
        text="${text//@cloud-$key@/"$(config::get secrets cloud "$key")"}"
    done
    kube::apply <<<"$text"
}

# The last line of a Job's newest pod, or why that does not start.
addons::says() {
    local template='{{range .items}}{{range .status.containerStatuses}}'
    template+='{{range .state}}{{with .message}}{{.}}{{"\n"}}{{end}}{{end}}'
    template+='{{end}}{{end}}'
    kube::as_admin --namespace kube-system get pods \
        --selector "job-name=$1" --sort-by .metadata.creationTimestamp \
        --output "go-template=$template" 2>/dev/null |
        grep '[^[:space:]]' | tail -n 1 | redact || true
}

addons::write() {
    json::object apiVersion '"v1"' kind '"ConfigMap"' \
        metadata "$(json::object name '"magnum-addon-states"' \
            namespace '"kube-system"')" \
        data "$(json::object "$@")" | kube::apply
}
