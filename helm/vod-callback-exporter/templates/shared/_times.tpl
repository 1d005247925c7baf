{{/* A copy, by scripts/charts, of vod-callback-sidecar/templates/_times.tpl. */}}
{{/* The seconds of a time such as `90s`, `1m 30s`, `1.5 hours` or `PT1H`, with 9 decimals; nothing for another text. */}}
{{- define "vod-callback-exporter.shared.seconds" -}}
{{- $text := . -}}
{{- $number := "[0-9]+(\\.[0-9]{1,9})?" -}}
{{- if regexMatch (printf "^P([0-9]+W)?([0-9]+D)?(T(%s[HMS])+)?$" $number) $text -}}
{{- $text = $text | trimPrefix "P" | replace "T" "" | lower -}}
{{- end -}}
{{- /* The units in their order, each once. */ -}}
{{- $gap := "(, +| *)" -}}
{{- $days := printf "([0-9]+ *(w|wks?|weeks?)%s)?([0-9]+ *(d|days?)%s)?" $gap $gap -}}
{{- $shape := printf "^%s(%s *(h|hrs?|hours?)%s)?(%s *(m|mins?|minutes?)%s)?(%s *(s|secs?|seconds?))? *$" $days $number $gap $number $gap $number -}}
{{- /* Only the last number may have decimals. */ -}}
{{- if and (regexMatch $shape $text) (regexMatch "[a-z] *$" $text) (not (regexMatch "\\.[0-9]+ *[a-z]+[ ,]*[0-9]" $text)) -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll (printf "%s *[a-z]" $number) $text -1 -}}
{{- $sum = addf $sum (mulf (regexFind "^[0-9.]+" .) (get (dict "w" 604800 "d" 86400 "h" 3600 "m" 60 "s" 1) (regexFind "[a-z]$" .))) -}}
{{- end -}}
{{- printf "%.9f" $sum -}}
{{- end -}}
{{- end -}}

{{/* The bytes of a size such as `4MiB` or `500 kB`, or of a number; nothing for another text. */}}
{{- define "vod-callback-exporter.shared.bytes" -}}
{{- $units := dict "" 1 "B" 1 "kB" 1000 "KiB" 1024 "MB" 1000000 "MiB" 1048576 "GB" 1000000000 "GiB" 1073741824 -}}
{{- if not (kindIs "string" .) -}}
{{- printf "%.9f" (float64 .) -}}
{{- else if regexMatch "^[0-9]+( *(B|kB|KiB|MB|MiB|GB|GiB))?$" . -}}
{{- printf "%.9f" (mulf (regexFind "^[0-9]+" .) (get $units (regexFind "[A-Za-z]*$" .))) -}}
{{- end -}}
{{- end -}}

{{/* Refuses times and sizes of the config that the exporter would. Renders nothing. */}}
{{- define "vod-callback-exporter.shared.checkTimes" -}}
{{- $at := empty .key | ternary "" (printf "%s." .key) -}}
{{- $v := .root.Values -}}
{{- if .key }}{{ $v = get .root.Values .key }}{{ end -}}
{{- $defaults := dict -}}
{{- range $option := include "vod-callback-exporter.shared.measures" . | fromYamlArray -}}
{{- $_ := set $defaults $option.path $option.default -}}
{{- $keys := splitList "." $option.path -}}
{{- $tables := list (dict "path" (printf "%sconfig" $at) "value" $v.config) -}}
{{- if eq (first $keys) "queues[]" -}}
{{- $keys = rest $keys -}}
{{- $tables = list -}}
{{- range $index, $queue := $v.config.queues }}{{ $tables = append $tables (dict "path" (printf "%sconfig.queues[%d]" $at $index) "value" $queue) }}{{ end -}}
{{- end -}}
{{- range $tables -}}
{{- $table := .value -}}
{{- range initial $keys }}{{ $table = get $table . | default dict }}{{ end -}}
{{- if hasKey $table (last $keys) -}}
{{- $value := get $table (last $keys) -}}
{{- $found := include (printf "vod-callback-exporter.shared.%s" $option.measure) $value -}}
{{- $fits := false -}}
{{- if hasSuffix ".000000000" $found -}}
{{- if hasKey $option "among" -}}
{{- range $option.among }}{{ if eq (float64 .) (float64 $found) }}{{ $fits = true }}{{ end }}{{ end -}}
{{- else -}}
{{- $fits = and (ge (float64 $found) (float64 $option.least)) (le (float64 $found) (float64 $option.most)) -}}
{{- end -}}
{{- end -}}
{{- if not $fits -}}
{{- if not (kindIs "string" $value) }}{{ $value = int64 $value }}{{ end -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s: found %v, expected %s" (join "." (prepend $keys .path)) (toString $value | default "an empty text") $option.takes) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- $shared := ($v.config.defaults | default dict).transcodes | default dict -}}
{{- range $index, $queue := $v.config.queues -}}
{{- $own := $queue.transcodes | default dict -}}
{{- $path := printf "%sconfig.%s.transcodes" $at (empty $own | ternary "defaults" (printf "queues[%d]" $index)) -}}
{{- $times := dict -}}
{{- range $key := list "base" "unknown_duration" "abandon_after" -}}
{{- $_ := set $times $key (get $own $key | default (get $shared $key) | default (get $defaults (printf "queues[].transcodes.%s" $key))) -}}
{{- end -}}
{{- range $key := list "base" "unknown_duration" -}}
{{- if ge (include "vod-callback-exporter.shared.seconds" (get $times $key) | float64) (include "vod-callback-exporter.shared.seconds" $times.abandon_after | float64) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.%s: found %s, and abandon_after is %s, expected less than that: no transcode would ever be overdue" $path $key (get $times $key) $times.abandon_after) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A scrape that may take longer than the time to the next, which Prometheus refuses: a dict of `monitor` and its `path`. */}}
{{- define "vod-callback-exporter.shared.checkScrapes" -}}
{{- $millis := dict -}}
{{- range $key := list "interval" "scrapeTimeout" -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|[ywdhms])" (get $.monitor $key) -1 -}}
{{- $unit := get (dict "y" 31536000000 "w" 604800000 "d" 86400000 "h" 3600000 "m" 60000 "s" 1000 "ms" 1) (regexFind "[a-z]+$" .) -}}
{{- $sum = add $sum (mul (regexFind "^[0-9]+" . | atoi) $unit) -}}
{{- end -}}
{{- $_ := set $millis $key $sum -}}
{{- end -}}
{{- if and .monitor.interval (gt $millis.scrapeTimeout $millis.interval) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "%s.scrapeTimeout: found %s, and %s.interval is %s, expected no more than that" .path .monitor.scrapeTimeout .path .monitor.interval) -}}
{{- end -}}
{{- end -}}
