{{/* A copy, by scripts/charts, of vod-callback-sidecar/templates/_container.tpl. */}}
{{/*
Every template here takes a dict: `root` is the host chart's `$`, and `key` the name under which the host has this chart's values
(the alias of the dependency). An empty `key` means the top of the values.
*/}}

{{- define "vod-callback-exporter.shared.image" -}}
{{- $image := .image -}}
{{- $name := $image.repository -}}
{{- if $image.registry }}{{ $name = printf "%s/%s" $image.registry $name }}{{ end -}}
{{- if $image.digest -}}
{{ $name }}@{{ $image.digest }}
{{- else -}}
{{ $name }}:{{ $image.tag | default .version }}
{{- end -}}
{{- end -}}

{{/*
A name of at most `limit` characters: a dict of `base`, `suffix` and, where it is not 63, `limit`. What is cut off the base leaves a
hash behind, so that two names stay two.
*/}}
{{- define "vod-callback-exporter.shared.fit" -}}
{{- $room := sub (.limit | default 63) (len .suffix) | int -}}
{{- $base := .base -}}
{{- if gt (len $base) $room -}}
{{- $base = printf "%s-%s" ($base | trunc (sub $room 9 | int) | trimAll "-.") (sha256sum $base | trunc 8) -}}
{{- end -}}
{{- printf "%s%s" $base .suffix -}}
{{- end -}}

{{/* A text as part of a resource's name: `vodCallbacks` is `vod-callbacks`. */}}
{{- define "vod-callback-exporter.shared.kebab" -}}
{{- $words := regexReplaceAll "([a-z0-9])([A-Z])" . "${1}-${2}" | lower -}}
{{- regexReplaceAll "[^a-z0-9.]+" $words "-" | trimAll "-." -}}
{{- end -}}

{{/* Name of the resources. A release may have the exporter several times: under two aliases in one host, and in hosts beside each other. */}}
{{- define "vod-callback-exporter.shared.fullname" -}}
{{- $v := .root.Values -}}
{{- if .key }}{{ $v = get .root.Values .key }}{{ end -}}
{{- if or .fullname $v.fullnameOverride -}}
{{- .fullname | default $v.fullnameOverride | trunc 63 | trimAll "-." -}}
{{- else -}}
{{- /* From such as "umbrella/charts/worker/templates"; empty where the host is the release's own chart. */ -}}
{{- $host := .root.Template.BasePath | trimSuffix "/templates" | splitList "/charts/" | rest | join "/" -}}
{{- $base := .root.Release.Name -}}
{{- with $host }}{{ $base = printf "%s-%s" $base (include "vod-callback-exporter.shared.kebab" .) }}{{ end -}}
{{- $base = printf "%s-vod-callbacks" $base -}}
{{- if not (has .key (list "" "vodCallbacks")) }}{{ $base = printf "%s-%s" $base (include "vod-callback-exporter.shared.kebab" .key) }}{{ end -}}
{{- /* Where kebab case may make one name of two, a hash keeps them apart. */ -}}
{{- $isPlain := and (regexMatch "^([a-z0-9]+(-[a-z0-9]+)*)?$" $host) (regexMatch "^([a-z][a-z0-9]*([A-Z][a-z0-9]+)*[A-Z]?)?$" .key) -}}
{{- $suffix := $isPlain | ternary "" (printf "-%s" (printf "%s %s" $host .key | sha256sum | trunc 8)) -}}
{{- include "vod-callback-exporter.shared.fit" (dict "base" $base "suffix" $suffix) -}}
{{- end -}}
{{- end -}}

{{- define "vod-callback-exporter.shared.labels" -}}
{{- if .labels -}}
{{ .labels }}
{{- else -}}
app.kubernetes.io/name: vod-callback-exporter
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: monitoring
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimAll "-_." | quote }}
{{- end -}}
{{- end -}}

{{/* Whether the container is a native sidecar; "true" or nothing. */}}
{{- define "vod-callback-exporter.shared.isNative" -}}
{{- $v := .root.Values -}}
{{- if .key }}{{ $v = get .root.Values .key }}{{ end -}}
{{- $at := empty .key | ternary "" (printf "%s." .key) -}}
{{- $able := semverCompare ">=1.29.0-0" .root.Capabilities.KubeVersion.Version -}}
{{- if eq $v.native "always" -}}
{{- if not $able -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%snative: found always, and Kubernetes %s starts no native sidecars (1.29 does), expected auto or never" $at .root.Capabilities.KubeVersion.Version) -}}
{{- end -}}
true
{{- else if and (eq $v.native "auto") $able -}}
{{- if include "vod-callback-exporter.shared.needsWebhook" $v -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%snative: found auto, and %scredentials.rrsa has no ARNs, expected never: the cluster's webhook may give no role to a native sidecar, and without it neither exporter nor worker starts; or roleArn and oidcProviderArn, or always where the webhook is known to do so" $at $at) -}}
{{- end -}}
true
{{- end -}}
{{- end -}}

{{/* The item for `initContainers`; nothing where native sidecars are not to be had. */}}
{{- define "vod-callback-exporter.shared.initContainers" -}}
{{- if include "vod-callback-exporter.shared.isEnabled" . -}}
{{- if include "vod-callback-exporter.shared.isNative" . -}}
- restartPolicy: Always
  {{- include "vod-callback-exporter.shared.container" . | nindent 2 }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The item for `containers`; nothing where it is a native sidecar. */}}
{{- define "vod-callback-exporter.shared.containers" -}}
{{- if include "vod-callback-exporter.shared.isEnabled" . -}}
{{- if not (include "vod-callback-exporter.shared.isNative" .) -}}
- {{ include "vod-callback-exporter.shared.container" . | nindent 2 | trim }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A probe: by HTTP, or by the image's own `probe` where the port asks for a password, a certificate or TLS. */}}
{{- define "vod-callback-exporter.shared.probe" -}}
{{- $handler := dict -}}
{{- if .v.webConfig.existingSecret -}}
{{- $url := printf "%s://127.0.0.1:%d%s" (.v.webConfig.tls | ternary "https" "http") (int .v.port) .path -}}
{{- $command := list "/vod-callback-exporter" "probe" $url -}}
{{- if .v.webConfig.tls }}{{ $command = append $command "--insecure" }}{{ end -}}
{{- $_ := set $handler "exec" (dict "command" (concat $command .v.webConfig.probeArgs)) -}}
{{- else -}}
{{- $_ := set $handler "httpGet" (dict "path" .path "port" "vod-metrics") -}}
{{- end -}}
{{- mustMergeOverwrite $handler (deepCopy .probe) | toYaml -}}
{{- end -}}

{{/* Refuses requests above their limits, which no cluster takes: a dict of `resources` and `at`, what stands before their path. */}}
{{- define "vod-callback-exporter.shared.checkResources" -}}
{{- $units := dict "" 1 "n" 0.000000001 "u" 0.000001 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 -}}
{{- $size := 1 -}}
{{- range list "Ki" "Mi" "Gi" "Ti" "Pi" "Ei" }}{{ $size = mul $size 1024 }}{{ $_ := set $units . $size }}{{ end -}}
{{- $limits := .resources.limits | default dict -}}
{{- range $name, $request := .resources.requests -}}
{{- $sizes := list -}}
{{- range $quantity := list $request (get $limits $name) -}}
{{- if not (kindIs "string" $quantity) -}}
{{- $sizes = append $sizes (float64 $quantity) -}}
{{- else if $quantity -}}
{{- $number := regexFind "^[0-9]+(\\.[0-9]+)?(e[0-9]+)?" $quantity -}}
{{- $sizes = append $sizes (mulf $number (get $units (trimPrefix $number $quantity))) -}}
{{- end -}}
{{- end -}}
{{- if eq (len $sizes) 2 -}}
{{- if gt (first $sizes) (last $sizes) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%sresources.requests.%s: found %s, and %sresources.limits.%s is %s, expected at most that" $.at $name (toJson $request | trimAll "\"") $.at $name (get $limits $name | toJson | trimAll "\"")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The container as a mapping, without the dash of a list. */}}
{{- define "vod-callback-exporter.shared.container" -}}
{{- if include "vod-callback-exporter.shared.isEnabled" . -}}
{{- include "vod-callback-exporter.shared.check" . -}}
{{- $v := .root.Values -}}
{{- $version := .version -}}
{{- if .key -}}
{{- $v = get .root.Values .key -}}
{{- $version = (get .root.Subcharts .key).Chart.AppVersion -}}
{{- end -}}
{{- $at := empty .key | ternary "" (printf "%s." .key) -}}
{{- include "vod-callback-exporter.shared.checkResources" (dict "resources" $v.resources "at" $at) -}}
name: vod-callback-exporter
image: {{ include "vod-callback-exporter.shared.image" (dict "image" $v.image "version" $version) | quote }}
imagePullPolicy: {{ $v.image.pullPolicy }}
args:
  - run
  - --config.file=/etc/vod-callback-exporter/config/vod-callback-exporter.yaml
  - --web.listen-address=:{{ int $v.port }}
  - --state.path=/var/lib/vod-callback-exporter
  - --log.level={{ $v.log.level }}
  - --log.format={{ $v.log.format }}
  {{- if $v.webConfig.existingSecret }}
  - {{ printf "--web.config.file=/etc/vod-callback-exporter/web/%s" $v.webConfig.key | quote }}
  {{- end }}
  {{- range $v.extraArgs }}
  - {{ . | quote }}
  {{- end }}
{{- $env := list -}}
{{- if include "vod-callback-exporter.shared.projectsToken" $v -}}
{{- $env = concat (list
      (dict "name" "ALIBABA_CLOUD_ROLE_ARN" "value" $v.credentials.rrsa.roleArn)
      (dict "name" "ALIBABA_CLOUD_OIDC_PROVIDER_ARN" "value" $v.credentials.rrsa.oidcProviderArn)
      (dict "name" "ALIBABA_CLOUD_OIDC_TOKEN_FILE" "value" "/var/run/secrets/vod-callback-exporter/token")) $env -}}
{{- end -}}
{{- with concat $env $v.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: vod-metrics
    containerPort: {{ int $v.port }}
    protocol: TCP
startupProbe:
  {{- include "vod-callback-exporter.shared.probe" (dict "v" $v "path" "/-/healthy" "probe" $v.startupProbe) | nindent 2 }}
livenessProbe:
  {{- include "vod-callback-exporter.shared.probe" (dict "v" $v "path" "/-/healthy" "probe" $v.livenessProbe) | nindent 2 }}
readinessProbe:
  {{- include "vod-callback-exporter.shared.probe" (dict "v" $v "path" "/-/ready" "probe" $v.readinessProbe) | nindent 2 }}
resources:
  {{- toYaml $v.resources | nindent 2 }}
securityContext:
  {{- toYaml $v.securityContext | nindent 2 }}
volumeMounts:
  - name: vod-callback-config
    mountPath: /etc/vod-callback-exporter/config
    readOnly: true
  - name: vod-callback-state
    mountPath: /var/lib/vod-callback-exporter
  {{- if eq $v.credentials.type "secret" }}
  - name: vod-callback-credentials
    mountPath: /etc/vod-callback-exporter/credentials
    readOnly: true
  {{- end }}
  {{- if include "vod-callback-exporter.shared.projectsToken" $v }}
  - name: vod-callback-token
    mountPath: /var/run/secrets/vod-callback-exporter
    readOnly: true
  {{- end }}
  {{- if $v.webConfig.existingSecret }}
  - name: vod-callback-web
    mountPath: /etc/vod-callback-exporter/web
    readOnly: true
  {{- end }}
  {{- with $v.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
{{- end -}}
