{{/* Fails with a message. `helm lint` only notes what fails so, and is made to fail by a template that does not exist. */}}
{{- define "vod-callback-sidecar.refuse" -}}
{{- fail . -}}
{{- include . dict -}}
{{- end -}}

{{/* Whether the exporter is wanted; "true" or nothing. Templates ask first, so that a wrong dict is refused before it is looked into. */}}
{{- define "vod-callback-sidecar.isEnabled" -}}
{{- $dict := "dict \"root\" $ \"key\" \"vodCallbacks\"" -}}
{{- if not (and (kindIs "map" .root) (hasKey (.root | default dict) "Values")) -}}
{{- include "vod-callback-sidecar.refuse" (printf "vod-callback-sidecar: found no root in what a template was given, expected the chart's $, as in: %s" $dict) -}}
{{- end -}}
{{- if not (kindIs "string" .key) -}}
{{- include "vod-callback-sidecar.refuse" (printf "vod-callback-sidecar: found no key in what a template was given, expected the alias of the dependency, as in: %s" $dict) -}}
{{- end -}}
{{- $v := .root.Values -}}
{{- if .key }}{{ $v = get .root.Values .key }}{{ end -}}
{{- if not (and (kindIs "map" $v) (hasKey $v "webConfig")) -}}
{{- include "vod-callback-sidecar.refuse" (printf "%s: found no values, expected those of vod-callback-sidecar: `key` is the alias of the dependency, or its name" (.key | default "key")) -}}
{{- end -}}
{{- if not (and (hasKey $v "enabled") (not $v.enabled)) -}}true{{- end -}}
{{- end -}}

{{/* Refuses values that the schema cannot: each with its path, what was found and what is allowed. Renders nothing. */}}
{{- define "vod-callback-sidecar.check" -}}
{{- $at := empty .key | ternary "" (printf "%s." .key) -}}
{{- $v := .root.Values -}}
{{- if .key }}{{ $v = get .root.Values .key }}{{ end -}}

{{- $defaults := $v.config.defaults | default dict -}}
{{- if not $v.config.queues -}}
{{- include "vod-callback-sidecar.refuse" (printf "%sconfig.queues: found no queue, expected at least one, such as [{name: vod-callbacks}]" $at) -}}
{{- end -}}
{{- with $defaults.mode -}}
{{- include "vod-callback-sidecar.refuse" (printf "%sconfig.defaults.mode: found %s, expected nothing: set %smode instead, to peek or consume" $at . $at) -}}
{{- end -}}
{{- $modes := list -}}
{{- range $index, $queue := $v.config.queues -}}
{{- $path := printf "%sconfig.queues[%d]" $at $index -}}
{{- $mode := $queue.mode | default $v.mode -}}
{{- if and (eq ($queue.role | default "callback") "dead_letter") (not $queue.mode) }}{{ $mode = "peek" }}{{ end -}}
{{- $modes = append $modes $mode -}}
{{- if and (eq $v.mode "peek") (eq $mode "consume") -}}
{{- include "vod-callback-sidecar.refuse" (printf "%s.mode: found consume, and %smode is peek, expected peek: a consumer needs a release with %smode: consume, which keeps to one replica" $path $at $at) -}}
{{- end -}}
{{- if and (eq ($queue.role | default "callback") "dead_letter") (eq $mode "consume") -}}
{{- include "vod-callback-sidecar.refuse" (printf "%s.mode: found consume in a queue of role dead_letter, expected peek" $path) -}}
{{- end -}}
{{- if not (or $queue.endpoint $defaults.endpoint) -}}
{{- include "vod-callback-sidecar.refuse" (printf "%s.endpoint: found nothing, here and in %sconfig.defaults.endpoint, expected a URL such as https://1234.mns.cn-shanghai.aliyuncs.com" $path $at) -}}
{{- end -}}
{{- if eq (hasKey $queue "name") (hasKey $queue "prefix") -}}
{{- include "vod-callback-sidecar.refuse" (printf "%s: found %s, expected either name or prefix" $path ((hasKey $queue "name") | ternary "name and prefix" "neither name nor prefix")) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $v.mode "consume") (not (has "consume" $modes)) -}}
{{- include "vod-callback-sidecar.refuse" (printf "%smode: found consume, and every queue of %sconfig.queues is peeked at, expected peek" $at $at) -}}
{{- end -}}
{{- include "vod-callback-sidecar.checkConfig" . -}}

{{- $account := ($v.config.accounts | default dict).default | default dict -}}
{{- $rrsa := $v.credentials.rrsa -}}
{{- if eq $v.credentials.type "secret" -}}
{{- if not $v.credentials.existingSecret -}}
{{- include "vod-callback-sidecar.refuse" (printf "%scredentials.existingSecret: found nothing, and %scredentials.type is secret, expected the name of a Secret with the keys %s and %s" $at $at $v.credentials.keys.accessKeyId $v.credentials.keys.accessKeySecret) -}}
{{- end -}}
{{- else if $v.credentials.existingSecret -}}
{{- include "vod-callback-sidecar.refuse" (printf "%scredentials.type: found %s, and %scredentials.existingSecret is %s, expected secret" $at $v.credentials.type $at $v.credentials.existingSecret) -}}
{{- end -}}
{{- if eq $v.credentials.type "rrsa" -}}
{{- if ne (empty $rrsa.roleArn) (empty $rrsa.oidcProviderArn) -}}
{{- include "vod-callback-sidecar.refuse" (printf "%scredentials.rrsa: found one of roleArn and oidcProviderArn, expected both, or neither where the cluster's webhook sets them" $at) -}}
{{- end -}}
{{- else if or $rrsa.roleArn $rrsa.oidcProviderArn $rrsa.roleName -}}
{{- include "vod-callback-sidecar.refuse" (printf "%scredentials.type: found %s, and %scredentials.rrsa names a role, expected rrsa" $at $v.credentials.type $at) -}}
{{- end -}}
{{- range $option := list "access_key_id_file" "access_key_id_env" "access_key_secret_file" "access_key_secret_env" "security_token_file" "security_token_env" "credentials" "role_arn" "oidc_provider_arn" "oidc_token_file" "profile" "ecs_role" "metadata_endpoint" "credentials_uri" -}}
{{- if and (ne $v.credentials.type "chain") (hasKey $account $option) -}}
{{- include "vod-callback-sidecar.refuse" (printf "%sconfig.accounts.default.%s: found it beside %scredentials.type %s, expected one of the two: chain leaves credentials to %sconfig.accounts" $at $option $at $v.credentials.type $at) -}}
{{- end -}}
{{- end -}}

{{- $keys := $v.credentials.keys -}}
{{- range $first, $second := dict "accessKeyId" "accessKeySecret" "accessKeySecret" "securityToken" "securityToken" "accessKeyId" -}}
{{- if eq (get $keys $first) (get $keys $second) -}}
{{- include "vod-callback-sidecar.refuse" (printf "%scredentials.keys.%s: found %s, which %scredentials.keys.%s is too, expected two keys of the Secret" $at $first (get $keys $first) $at $second) -}}
{{- end -}}
{{- end -}}
{{- if and $v.webConfig.tls (not $v.webConfig.existingSecret) -}}
{{- include "vod-callback-sidecar.refuse" (printf "%swebConfig.existingSecret: found nothing, and %swebConfig.tls is true, expected the name of a Secret with a web config, or webConfig.tls: false" $at $at) -}}
{{- end -}}

{{- $own := list "--config.file" "--web.listen-address" "--web.telemetry-path" "--state.path" "--log.level" "--log.format" "--web.config.file" "--mode" "--mns.endpoint" "--mns.queue" -}}
{{- range $index, $argument := $v.extraArgs -}}
{{- $flag := regexFind "^--[a-z.-]+" $argument -}}
{{- if has $flag $own -}}
{{- include "vod-callback-sidecar.refuse" (printf "%sextraArgs[%d]: found %s, which the chart sets, expected a flag that has no value of its own here, such as --web.enable-lifecycle" $at $index $flag) -}}
{{- end -}}
{{- end -}}
{{- $variables := dict -}}
{{- range $own -}}
{{- /* Each flag's twin in the environment. */ -}}
{{- $_ := set $variables (printf "VOD_CALLBACK_EXPORTER_%s" (. | trimPrefix "--" | upper | replace "." "_" | replace "-" "_")) . -}}
{{- end -}}
{{- if include "vod-callback-sidecar.projectsToken" $v -}}
{{- range list "ALIBABA_CLOUD_ROLE_ARN" "ALIBABA_CLOUD_OIDC_PROVIDER_ARN" "ALIBABA_CLOUD_OIDC_TOKEN_FILE" }}{{ $_ := set $variables . "credentials.rrsa" }}{{ end -}}
{{- end -}}
{{- range $index, $variable := $v.extraEnv -}}
{{- with get $variables $variable.name -}}
{{- include "vod-callback-sidecar.refuse" (printf "%sextraEnv[%d].name: found %s, and the chart sets %s itself, expected a variable that it does not know of" $at $index $variable.name .) -}}
{{- end -}}
{{- end -}}
{{- range $index, $volume := $v.extraVolumes -}}
{{- if has $volume.name (list "vod-callback-config" "vod-callback-state" "vod-callback-credentials" "vod-callback-token" "vod-callback-web") -}}
{{- include "vod-callback-sidecar.refuse" (printf "%sextraVolumes[%d].name: found %s, which is a volume of the chart, expected another name" $at $index $volume.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
