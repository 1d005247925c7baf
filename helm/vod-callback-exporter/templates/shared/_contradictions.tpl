{{/* A copy, by scripts/charts, of vod-callback-sidecar/templates/_contradictions.tpl. */}}
{{/* Which MNS an endpoint is of: its public and its inner host are one, by account and region. */}}
{{- define "vod-callback-exporter.shared.mns" -}}
{{- $vendor := "^https?://([0-9]*)\\.mns\\.([^./:]+?)(-internal-vpc|-internal|-vpc)?\\.aliyuncs\\.com(:[0-9]+)?$" -}}
{{- $endpoint := . | lower | trimSuffix "/" -}}
{{- if regexMatch $vendor $endpoint -}}
{{- regexReplaceAll $vendor $endpoint "$1 in $2" -}}
{{- else -}}
{{- regexReplaceAll "^(http://.*):80$|^(https://.*):443$" $endpoint "$1$2" -}}
{{- end -}}
{{- end -}}

{{/* The region that an endpoint's host tells; nothing for a host of one's own. */}}
{{- define "vod-callback-exporter.shared.regionOf" -}}
{{- $vendor := "^https?://[^./]*\\.mns\\.([^./:]+?)(-internal-vpc|-internal|-vpc)?\\.aliyuncs\\.com(:[0-9]+)?/?$" -}}
{{- if regexMatch $vendor (lower .) }}{{ regexReplaceAll $vendor (lower .) "$1" }}{{ end -}}
{{- end -}}

{{/* Refuses what the exporter would not start with, the cluster not take or Prometheus not scrape. Renders nothing. */}}
{{- define "vod-callback-exporter.shared.checkConfig" -}}
{{- $v := .root.Values -}}
{{- if .key }}{{ $v = get .root.Values .key }}{{ end -}}
{{- include "vod-callback-exporter.shared.checkQueues" . -}}
{{- include "vod-callback-exporter.shared.checkTimes" . -}}
{{- $at := empty .key | ternary "" (printf "%s." .key) -}}
{{- range $name, $account := $v.config.accounts -}}
{{- $isMade := and (eq $name "default") (ne $v.credentials.type "chain") -}}
{{- include "vod-callback-exporter.shared.checkAccount" (dict "path" (printf "%sconfig.accounts.%s" $at $name) "name" $name "account" $account "isMade" $isMade) -}}
{{- end -}}
{{- range $index, $variable := $v.extraEnv -}}
{{- if and (hasKey $variable "value") (hasKey $variable "valueFrom") -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%sextraEnv[%d]: found value and valueFrom, expected one of the two" $at $index) -}}
{{- end -}}
{{- end -}}
{{- range $monitor := list "podMonitor" "serviceMonitor" -}}
{{- with get $v $monitor -}}
{{- include "vod-callback-exporter.shared.checkScrapes" (dict "path" (printf "%s%s" $at $monitor) "monitor" .) -}}
{{- end -}}
{{- end -}}
{{- with $v.config.alertmanager -}}
{{- include "vod-callback-exporter.shared.checkAlertmanager" (dict "path" (printf "%sconfig.alertmanager" $at) "options" .) -}}
{{- end -}}
{{- end -}}

{{/* A secret that is said twice: a dict of `path`, `options` and `secret`. */}}
{{- define "vod-callback-exporter.shared.checkSecret" -}}
{{- if and (hasKey .options (printf "%s_file" .secret)) (hasKey .options (printf "%s_env" .secret)) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.%s_env: found it beside %s_file, expected one of the two" .path .secret .secret) -}}
{{- end -}}
{{- end -}}

{{- define "vod-callback-exporter.shared.checkQueues" -}}
{{- $at := empty .key | ternary "" (printf "%s." .key) -}}
{{- $v := .root.Values -}}
{{- if .key }}{{ $v = get .root.Values .key }}{{ end -}}
{{- $defaults := $v.config.defaults | default dict -}}
{{- $accounts := $v.config.accounts | default dict -}}
{{- $known := append (keys $accounts) "default" | uniq | sortAlpha | join ", " -}}
{{- $used := list -}}
{{- $names := dict -}}
{{- $ids := dict -}}
{{- $prefixes := list -}}
{{- $targets := dict -}}
{{- range $index, $queue := $v.config.queues -}}
{{- $path := printf "%sconfig.queues[%d]" $at $index -}}
{{- $role := $queue.role | default "callback" -}}
{{- $mode := $queue.mode | default (eq $role "dead_letter" | ternary "peek" $v.mode) -}}
{{- $endpoint := $queue.endpoint | default $defaults.endpoint -}}
{{- $region := $queue.region | default $defaults.region | default (include "vod-callback-exporter.shared.regionOf" $endpoint) -}}
{{- $mns := include "vod-callback-exporter.shared.mns" $endpoint -}}
{{- $forward := $queue.forward | default dict -}}
{{- $account := $queue.account | default $defaults.account | default "default" -}}
{{- $sender := $forward.account | default $account -}}
{{- $used = concat $used (list $account $sender) -}}
{{- $places := dict (hasKey $queue "account" | ternary (printf "%s.account" $path) (printf "%sconfig.defaults.account" $at)) $account -}}
{{- with $forward.account }}{{ $_ := set $places (printf "%s.forward.account" $path) . }}{{ end -}}
{{- range $place, $name := $places -}}
{{- if not (or (eq $name "default") (hasKey $accounts $name)) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s: found %s, expected the name of an account (%s), or an entry for it in %sconfig.accounts" $place $name $known $at) -}}
{{- end -}}
{{- end -}}

{{- if and $queue.forward (eq $mode "peek") -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.forward: found it, and the queue is peeked at, which takes no message out, expected nothing, or %smode: consume" $path $at) -}}
{{- end -}}
{{- if hasKey $queue "prefix" -}}
{{- if and (not $queue.prefix) (eq $mode "consume") -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.prefix: found an empty one, and the mode is consume, which would delete the messages of every queue of the endpoint, expected the beginning of names" $path) -}}
{{- end -}}
{{- range $option := list "id" "forward" -}}
{{- if hasKey $queue $option -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.%s: found it beside prefix, expected nothing, or an entry with name for each queue" $path $option) -}}
{{- end -}}
{{- end -}}
{{- range $prefixes -}}
{{- if and (eq .mns $mns) (or (hasPrefix .prefix $queue.prefix) (hasPrefix $queue.prefix .prefix)) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.prefix: found %q, which means queues of %s too, expected prefixes of which neither begins with the other" $path $queue.prefix .path) -}}
{{- end -}}
{{- end -}}
{{- $prefixes = append $prefixes (dict "path" $path "mns" $mns "prefix" $queue.prefix) -}}
{{- else -}}
{{- $target := printf "%s %s" $mns $queue.name -}}
{{- with get $names $target -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.name: found %s, which %s is about already, expected another queue" $path $queue.name .path) -}}
{{- end -}}
{{- $id := $queue.id | default $queue.name -}}
{{- with get $ids $id -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.id: found %s, which %s has already, expected another id" $path $id .) -}}
{{- end -}}
{{- $to := "" -}}
{{- if $queue.forward }}{{ $to = printf "%s %s" (include "vod-callback-exporter.shared.mns" ($forward.endpoint | default $endpoint)) $forward.name }}{{ end -}}
{{- $_ := set $names $target (dict "path" $path "to" $to) -}}
{{- $_ := set $ids $id $path -}}
{{- end -}}

{{- $toRegion := $forward.endpoint | empty | ternary $region (include "vod-callback-exporter.shared.regionOf" ($forward.endpoint | default "")) -}}
{{- if and (not $region) (eq ((get $accounts $account | default dict).signature | default "v2") "v4") -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.region: found nothing, and %s does not tell it, which signature v4 of account %s needs, expected a region such as cn-shanghai" $path $endpoint $account) -}}
{{- end -}}
{{- if and $queue.forward (not $toRegion) (eq ((get $accounts $sender | default dict).signature | default "v2") "v4") -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.forward.account: found %s with signature v4, which needs the region, and %s does not tell it, expected an account with signature v2" $path $sender ($forward.endpoint | default $endpoint)) -}}
{{- end -}}
{{- if and (eq $role "callback") (or (hasKey $queue "vod") (hasKey $defaults "vod")) (not $region) -}}
{{- if not (or ($queue.vod | default dict).region ($defaults.vod | default dict).region) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.vod.region: found nothing, and %s does not tell the queue's, expected a region such as cn-shanghai" $path $endpoint) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- range $from, $queue := $names -}}
{{- if $queue.to -}}
{{- $way := list -}}
{{- $next := $queue.to -}}
{{- range $names -}}
{{- if and (hasKey $names $next) (ne $next $from) -}}
{{- $way = append $way (get $names $next).path -}}
{{- $next = (get $names $next).to -}}
{{- end -}}
{{- end -}}
{{- if eq $next $from -}}
{{- $found := empty $way | ternary "the queue itself" (printf "a circle by way of %s" (join ", " $way)) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.forward: found %s, which would pass each message on for ever, expected the queue of a worker" $queue.path $found) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $used (ne $v.credentials.type "chain") (not (has "default" $used)) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%scredentials.type: found %s, which is for the account default, and no queue uses that account, expected chain" $at $v.credentials.type) -}}
{{- end -}}
{{- end -}}

{{/* An account: a dict of `path`, `name`, `account` and, where the chart itself says where its credentials are from, `isMade`. */}}
{{- define "vod-callback-exporter.shared.checkAccount" -}}
{{- $account := .account | default dict -}}
{{- $path := .path -}}
{{- $key := "" -}}
{{- range $secret := list "access_key_id" "access_key_secret" "security_token" -}}
{{- include "vod-callback-exporter.shared.checkSecret" (dict "path" $path "options" $account "secret" $secret) -}}
{{- range $form := list "file" "env" -}}
{{- $option := printf "%s_%s" $secret $form -}}
{{- if hasKey $account $option }}{{ $key = $option }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $provider := $account.credentials | default "auto" -}}
{{- if and $key (ne $provider "auto") -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.credentials: found %s beside %s, expected one of the two" $path $provider $key) -}}
{{- end -}}
{{- $hasKey := or $key (ne .name "default") -}}
{{- if and $hasKey (eq $provider "auto") (ne .name "default") -}}
{{- range $half := list "access_key_id" "access_key_secret" -}}
{{- if not (or (hasKey $account (printf "%s_file" $half)) (hasKey $account (printf "%s_env" $half))) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s: found no %s, expected %s_file or %s_env, or a provider as credentials" $path $half $half $half) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (not .isMade) (ne $provider "chain") (or $hasKey (ne $provider "auto")) -}}
{{- $users := dict "profile" (list "cli_profile" "ini") "role_arn" (list "oidc") "oidc_provider_arn" (list "oidc") "oidc_token_file" (list "oidc") "ecs_role" (list "ecs") "credentials_uri" (list "uri") "metadata_endpoint" (list "cli_profile" "ini" "ecs") -}}
{{- range $option, $of := $users -}}
{{- if and (hasKey $account $option) (not (has $provider $of)) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.%s: found it with %s, which makes no use of it, expected nothing, or credentials: %s" $path $option (eq $provider "auto" | ternary "an access key" $provider) (join " or " $of)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $account.sts_endpoint -}}
{{- if and (hasPrefix "http:" (lower .)) (not (regexMatch "^http://(localhost|127\\.[0-9.]+|\\[::1\\]|[^./]*\\.mns\\.[^./]*-(internal|vpc)\\.aliyuncs\\.com)(:[0-9]+)?(/|$)" (lower .))) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.sts_endpoint: found %s on a public network, where tokens could be read on their way, expected https" $path .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "vod-callback-exporter.shared.checkAlertmanager" -}}
{{- $path := .path -}}
{{- $options := .options -}}
{{- $found := dict -}}
{{- range $secret := list "password" "bearer_token" -}}
{{- include "vod-callback-exporter.shared.checkSecret" (dict "path" $path "options" $options "secret" $secret) -}}
{{- range $form := list "file" "env" -}}
{{- $option := printf "%s_%s" $secret $form -}}
{{- if hasKey $options $option }}{{ $_ := set $found $secret $option }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and $found.bearer_token (or $found.password (hasKey $options "username")) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.%s: found it beside %s, expected one of the two" $path $found.bearer_token ($found.password | default "username")) -}}
{{- end -}}
{{- if and (hasKey $options "username") (not $found.password) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.username: found it without a password, expected password_file or password_env too" $path) -}}
{{- end -}}
{{- if and $found.password (not (hasKey $options "username")) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.%s: found it without username, expected both" $path $found.password) -}}
{{- end -}}
{{- if ne (hasKey $options "cert_file") (hasKey $options "key_file") -}}
{{- $only := hasKey $options "cert_file" | ternary "cert_file" "key_file" -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.%s: found it without %s, expected both or neither" $path $only (eq $only "cert_file" | ternary "key_file" "cert_file")) -}}
{{- end -}}
{{- $urls := list -}}
{{- range $index, $url := $options.urls -}}
{{- $one := regexReplaceAll "^(https?://[^/]+)/$" $url "$1" -}}
{{- if has $one $urls -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.urls[%d]: found %s twice, expected each once" $path $index $url) -}}
{{- end -}}
{{- $urls = append $urls $one -}}
{{- end -}}
{{- end -}}
