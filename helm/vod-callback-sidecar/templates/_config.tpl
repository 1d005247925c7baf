{{/* The exporter's config file: what the values say, with the mode of each queue, where credentials come from and, in a chart that has them, where links lead. */}}
{{- define "vod-callback-sidecar.config" -}}
{{- include "vod-callback-sidecar.check" . -}}
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

{{- define "vod-callback-sidecar.configMap" -}}
{{- if include "vod-callback-sidecar.isEnabled" . -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "vod-callback-sidecar.fullname" . | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels:
    {{- include "vod-callback-sidecar.labels" . | nindent 4 }}
data:
  vod-callback-exporter.yaml: |
    {{- include "vod-callback-sidecar.config" . | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* For the pod's annotations: another config makes other pods. */}}
{{- define "vod-callback-sidecar.podAnnotations" -}}
{{- if include "vod-callback-sidecar.isEnabled" . -}}
checksum/vod-callback-exporter: {{ include "vod-callback-sidecar.config" . | sha256sum | quote }}
{{- end -}}
{{- end -}}
