{{/* A copy, by scripts/charts, of vod-callback-sidecar/templates/_config.tpl. */}}
{{/* The exporter's config file: what the values say, with the mode of each queue, where credentials come from and, in a chart that has them, where links lead. */}}
{{- define "vod-callback-exporter.shared.config" -}}
{{- include "vod-callback-exporter.shared.check" . -}}
{{- $v := .root.Values -}}
{{- if .key }}{{ $v = get .root.Values .key }}{{ end -}}
{{- $config := deepCopy $v.config -}}
{{- $queues := list -}}
{{- range $config.queues -}}
{{- /* A dead-letter queue is only ever peeked at. */ -}}
{{- $mode := eq (.role | default "callback") "dead_letter" | ternary "peek" $v.mode -}}
{{- $queues = append $queues (merge (dict) . (dict "mode" $mode)) -}}
{{- end -}}
{{- $_ := set $config "queues" $queues -}}
{{- $account := dict -}}
{{- if eq $v.credentials.type "secret" -}}
{{- $folder := "/etc/vod-callback-exporter/credentials" -}}
{{- $_ := set $account "access_key_id_file" (printf "%s/%s" $folder $v.credentials.keys.accessKeyId) -}}
{{- $_ := set $account "access_key_secret_file" (printf "%s/%s" $folder $v.credentials.keys.accessKeySecret) -}}
{{- with $v.credentials.keys.securityToken -}}
{{- $_ := set $account "security_token_file" (printf "%s/%s" $folder .) -}}
{{- end -}}
{{- else if eq $v.credentials.type "rrsa" -}}
{{- $_ := set $account "credentials" "oidc" -}}
{{- end -}}
{{- if $account -}}
{{- $accounts := $config.accounts | default dict -}}
{{- $_ := set $accounts "default" (merge ($accounts.default | default dict) $account) -}}
{{- $_ := set $config "accounts" $accounts -}}
{{- end -}}
{{- range $section := list "accounts" "defaults" "quarantine" -}}
{{- if empty (get $config $section) }}{{ $_ := unset $config $section }}{{ end -}}
{{- end -}}
{{- if $config.alertmanager -}}
{{- range $option, $base := .links -}}
{{- if and $base (not (hasKey $config.alertmanager $option)) }}{{ $_ := set $config.alertmanager $option $base }}{{ end -}}
{{- end -}}
{{- end -}}
{{ toYaml $config }}
{{- end -}}

{{- define "vod-callback-exporter.shared.configMap" -}}
{{- if include "vod-callback-exporter.shared.isEnabled" . -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "vod-callback-exporter.shared.fullname" . | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels:
    {{- include "vod-callback-exporter.shared.labels" . | nindent 4 }}
data:
  vod-callback-exporter.yaml: |
    {{- include "vod-callback-exporter.shared.config" . | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* For the pod's annotations: another config makes other pods. */}}
{{- define "vod-callback-exporter.shared.podAnnotations" -}}
{{- if include "vod-callback-exporter.shared.isEnabled" . -}}
checksum/vod-callback-exporter: {{ include "vod-callback-exporter.shared.config" . | sha256sum | quote }}
{{- end -}}
{{- end -}}
