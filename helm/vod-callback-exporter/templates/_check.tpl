{{/* Refuses values that fit the schema and not each other. Renders nothing. */}}
{{- define "vod-callback-exporter.check" -}}
{{- $v := .Values -}}
{{- $replicas := int $v.replicas -}}
{{- if eq $v.kind "StatefulSet" -}}
{{- if eq $v.mode "peek" -}}
{{- include "vod-callback-exporter.shared.refuse" "kind: found StatefulSet, and mode is peek, expected Deployment: what peeking counts needs no volume" -}}
{{- end -}}
{{- if or (not $v.persistence.enabled) $v.persistence.existingClaim -}}
{{- include "vod-callback-exporter.shared.refuse" "persistence: found no volume of its own, and kind is StatefulSet, expected persistence.enabled: true without existingClaim; kind: Deployment takes an existingClaim, or none" -}}
{{- end -}}
{{- else if and $v.persistence.enabled (not $v.persistence.existingClaim) -}}
{{- include "vod-callback-exporter.shared.refuse" "persistence.existingClaim: found nothing, and kind is Deployment, expected the name of a PersistentVolumeClaim, or kind: StatefulSet, which makes its own" -}}
{{- end -}}
{{- if and (eq $v.mode "consume") (gt $replicas 1) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "replicas: found %d, and mode is consume, expected 0 or 1: each of two consumers would count a share of the messages" $replicas) -}}
{{- end -}}
{{- $keeps := include "vod-callback-exporter.keepsState" . -}}
{{- if and $keeps (gt $replicas 1) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "replicas: found %d, and %s, expected 0 or 1: the state belongs to one process" $replicas ($v.persistence.enabled | ternary "persistence.enabled is true" "state.volume outlives the pod")) -}}
{{- end -}}
{{- if and $v.persistence.existingClaim (not $v.persistence.enabled) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "persistence.enabled: found false, and persistence.existingClaim is %s, expected true" $v.persistence.existingClaim) -}}
{{- end -}}
{{- if and $v.state.volume (or $v.persistence.enabled (eq $v.kind "StatefulSet")) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "state.volume: found it, and %s has a volume for the state, expected nothing, or persistence.enabled: false and kind: Deployment" ($v.persistence.enabled | ternary "persistence" "the StatefulSet")) -}}
{{- end -}}
{{- with $v.updateStrategy -}}
{{- $alone := and (eq $v.kind "Deployment") (or (eq $v.mode "consume") $keeps) -}}
{{- $fitting := eq $v.kind "Deployment" | ternary (list "Recreate" "RollingUpdate") (list "RollingUpdate" "OnDelete") -}}
{{- if $alone }}{{ $fitting = list "Recreate" }}{{ end -}}
{{- if not (has .type $fitting) -}}
{{- $why := empty $alone | ternary "" ": in mode consume and with a volume that is kept, two pods must not run at a time" -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "updateStrategy.type: found %s, and kind is %s, expected %s%s" (.type | default "nothing") $v.kind (join " or " $fitting) $why) -}}
{{- end -}}
{{- if and .rollingUpdate (ne .type "RollingUpdate") -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "updateStrategy.rollingUpdate: found it, and updateStrategy.type is %s, expected nothing" .type) -}}
{{- end -}}
{{- range $key, $_ := .rollingUpdate -}}
{{- $known := eq $v.kind "Deployment" | ternary (list "maxSurge" "maxUnavailable") (list "maxUnavailable" "partition") -}}
{{- if not (has $key $known) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "updateStrategy.rollingUpdate.%s: found it, and kind is %s, expected %s" $key $v.kind (join " or " $known)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.podMonitor.enabled $v.serviceMonitor.enabled -}}
{{- include "vod-callback-exporter.shared.refuse" "serviceMonitor.enabled: found true, and podMonitor.enabled is true, expected one of the two: each pod would be scraped twice" -}}
{{- end -}}
{{- if and $v.serviceMonitor.enabled (not $v.service.enabled) -}}
{{- include "vod-callback-exporter.shared.refuse" "service.enabled: found false, and serviceMonitor.enabled is true, expected true, or podMonitor.enabled: true instead" -}}
{{- end -}}
{{- if and $v.podDisruptionBudget.enabled (eq (empty (toString $v.podDisruptionBudget.minAvailable)) (empty (toString $v.podDisruptionBudget.maxUnavailable))) -}}
{{- include "vod-callback-exporter.shared.refuse" "podDisruptionBudget: found both or neither of minAvailable and maxUnavailable, expected one of the two, as a number or a percentage" -}}
{{- end -}}
{{- if and $v.credentials.rrsa.roleName (not $v.serviceAccount.create) -}}
{{- include "vod-callback-exporter.shared.refuse" "credentials.rrsa.roleName: found it, and serviceAccount.create is false, expected nothing: annotate that service account with pod-identity.alibabacloud.com/role-name yourself" -}}
{{- end -}}
{{- if $v.serviceAccount.create -}}
{{- $role := "pod-identity.alibabacloud.com/role-name" -}}
{{- $annotated := get $v.serviceAccount.annotations $role -}}
{{- if and $annotated $v.credentials.rrsa.roleName -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "serviceAccount.annotations: found %s, which credentials.rrsa.roleName sets, expected one of the two" $role) -}}
{{- end -}}
{{- if and (eq $v.credentials.type "rrsa") (not (or $annotated $v.credentials.rrsa.roleName $v.credentials.rrsa.roleArn)) -}}
{{- include "vod-callback-exporter.shared.refuse" "credentials.rrsa: found no role, expected roleName, where ack-pod-identity-webhook is installed, or roleArn and oidcProviderArn" -}}
{{- end -}}
{{- end -}}
{{- range $label, $_ := $v.podLabels -}}
{{- if hasKey (include "vod-callback-exporter.labels" $ | fromYaml) $label -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "podLabels: found %s, which the chart sets, expected another label; nameOverride changes the name" $label) -}}
{{- end -}}
{{- end -}}
{{- range $annotation, $_ := $v.podAnnotations -}}
{{- if eq $annotation "checksum/vod-callback-exporter" -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "podAnnotations: found %s, which the chart sets, expected another annotation" $annotation) -}}
{{- end -}}
{{- end -}}
{{- include "vod-callback-exporter.checkMounts" . -}}
{{- include "vod-callback-exporter.checkNetworkPolicy" . -}}
{{- end -}}

{{/* Mounts of volumes that the pod does not have. */}}
{{- define "vod-callback-exporter.checkMounts" -}}
{{- if .Values.extraVolumeMounts -}}
{{- $scope := merge (include "vod-callback-exporter.scope" . | fromYaml) (dict "root" .) -}}
{{- /* Whose names are judged first. */ -}}
{{- include "vod-callback-exporter.shared.check" $scope -}}
{{- $volumes := list -}}
{{- range include "vod-callback-exporter.shared.volumes" $scope | fromYamlArray }}{{ $volumes = append $volumes .name }}{{ end -}}
{{- range $index, $mount := .Values.extraVolumeMounts -}}
{{- if not (has $mount.name $volumes) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "extraVolumeMounts[%d].name: found %s, which is no volume of the pod, expected one of: %s; extraVolumes adds others" $index $mount.name ($volumes | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A name that no resource may have. */}}
{{- define "vod-callback-exporter.checkName" -}}
{{- $name := include "vod-callback-exporter.fullname" . -}}
{{- if and .Values.exporter.enabled (include "vod-callback-exporter.hasService" .) -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $name) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "fullnameOverride: found %s as the name of the Service, expected one that begins with a letter and has no dots, or kind: Deployment with service.enabled: false" $name) -}}
{{- end -}}
{{- else if not (regexMatch "^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$" $name) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "fullnameOverride: found %s as the name of resources, expected small letters, digits and hyphens, and single dots between those" $name) -}}
{{- end -}}
{{- end -}}

{{/* Labels and annotations that would stand twice in what has them. */}}
{{- define "vod-callback-exporter.checkLabels" -}}
{{- $own := include "vod-callback-exporter.labels" . | fromYaml -}}
{{- $v := .Values -}}
{{- $all := dict "podMonitor.additionalLabels" $v.podMonitor.additionalLabels "serviceMonitor.additionalLabels" $v.serviceMonitor.additionalLabels "prometheusRule.additionalLabels" $v.prometheusRule.additionalLabels "dashboards.labels" $v.dashboards.labels -}}
{{- range $path, $labels := $all -}}
{{- include "vod-callback-exporter.shared.checkLabels" (dict "own" $own "labels" $labels "path" $path) -}}
{{- end -}}
{{- $boards := $v.dashboards -}}
{{- if and $boards.folder (hasKey $boards.annotations $boards.folderAnnotation) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "dashboards.annotations: found %s, which dashboards.folder sets, expected one of the two" $boards.folderAnnotation) -}}
{{- end -}}
{{- end -}}

{{/* A policy that says something while it is off, or that keeps the exporter from what its config names. */}}
{{- define "vod-callback-exporter.checkNetworkPolicy" -}}
{{- $policy := .Values.networkPolicy -}}
{{- $egress := $policy.egress -}}
{{- if and (not $policy.enabled) (or $policy.from $egress.enabled) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "networkPolicy.enabled: found false, and %s, expected true" ($egress.enabled | ternary "networkPolicy.egress.enabled is true" "networkPolicy.from names peers")) -}}
{{- end -}}
{{- if and (not $egress.enabled) $egress.to -}}
{{- include "vod-callback-exporter.shared.refuse" "networkPolicy.egress.enabled: found false, and networkPolicy.egress.to names peers, expected true" -}}
{{- end -}}
{{- if $egress.enabled -}}
{{- $ports := list -}}
{{- range $egress.ports }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- range $path, $url := include "vod-callback-exporter.destinations" . | fromYaml -}}
{{- $host := regexFind "^https?://[^/?#]+" $url -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" | default (hasPrefix "https:" $host | ternary "443" "80") -}}
{{- $local := regexMatch "^https?://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?$" $host -}}
{{- if not (or $local (has (int $port) $ports)) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "networkPolicy.egress.ports: found %s, and %s has port %s, expected that too" (join ", " $ports) $path $port) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The URLs of the config that are connected to, by their paths, as YAML. Behind a proxy it is the proxy alone. */}}
{{- define "vod-callback-exporter.destinations" -}}
{{- $config := .Values.config -}}
{{- $defaults := $config.defaults | default dict -}}
{{- $accounts := $config.accounts | default dict -}}
{{- $all := dict -}}
{{- $proxied := list -}}
{{- range $name, $account := $accounts -}}
{{- $account = $account | default dict -}}
{{- if $account.proxy }}{{ $proxied = append $proxied $name }}{{ end -}}
{{- range $option := list "proxy" "metadata_endpoint" "credentials_uri" (empty $account.proxy | ternary "sts_endpoint" "proxy") -}}
{{- with get $account $option }}{{ $_ := set $all (printf "config.accounts.%s.%s" $name $option) . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $index, $queue := $config.queues -}}
{{- $path := printf "config.queues[%d]" $index -}}
{{- $account := $queue.account | default $defaults.account | default "default" -}}
{{- $options := list -}}
{{- if not (has $account $proxied) -}}
{{- $options = list (list "endpoint" $queue $defaults) (list "vod.endpoint" ($queue.vod | default dict) ($defaults.vod | default dict)) -}}
{{- end -}}
{{- with $queue.forward -}}
{{- if and .endpoint (not (has (.account | default $account) $proxied)) -}}
{{- $options = append $options (list "forward.endpoint" . dict) -}}
{{- end -}}
{{- end -}}
{{- range $options -}}
{{- if (index . 1).endpoint }}{{ $_ := set $all (printf "%s.%s" $path (first .)) (index . 1).endpoint -}}
{{- else if (last .).endpoint }}{{ $_ := set $all (printf "config.defaults.%s" (first .)) (last .).endpoint }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $index, $url := ($config.alertmanager | default dict).urls -}}
{{- $_ := set $all (printf "config.alertmanager.urls[%d]" $index) $url -}}
{{- end -}}
{{ toYaml $all }}
{{- end -}}
