{{- define "remote-agent.name" -}}
{{- contains "remote-agent" .Release.Name | ternary .Release.Name (printf "%s-remote-agent" .Release.Name) | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "remote-agent.selector" -}}
app.kubernetes.io/name: remote-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "remote-agent.labels" -}}
{{ include "remote-agent.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "remote-agent.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "remote-agent.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "remote-agent.pod" -}}
metadata:
  labels:
    {{- include "remote-agent.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .Values.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "remote-agent.serviceAccount" . }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automountToken }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext: {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  containers:
    - name: agent
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [run]
      securityContext: {{- toYaml .Values.securityContext | nindent 8 }}
      env:
        - name: REMOTE_AGENT_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        # A directory of its own: the volume's root belongs to root.
        - name: REMOTE_AGENT_STATE_DIR
          value: /var/lib/remote-agent/state
        - name: REMOTE_AGENT_SERVER
          value: {{ required "server.url is missing: the server's address, as https://jobs.example.com" .Values.server.url | quote }}
        {{- if .Values.server.insecure }}
        - name: REMOTE_AGENT_INSECURE
          value: "true"
        {{- end }}
        {{- if .Values.server.caSecret.name }}
        - name: REMOTE_AGENT_CA_FILE
          value: /etc/remote-agent/ca/{{ .Values.server.caSecret.key }}
        {{- end }}
        - name: REMOTE_AGENT_TOKEN_FILE
          value: /etc/remote-agent/token/{{ .Values.token.key }}
        - name: REMOTE_AGENT_QUEUES
          value: {{ join "," .Values.queues | quote }}
        {{- with .Values.labels }}
        - name: REMOTE_AGENT_LABELS
          value: {{ range $i, $key := keys . | sortAlpha }}{{ if $i }},{{ end }}{{ $key }}={{ index $.Values.labels $key }}{{ end }}
        {{- end }}
        - name: REMOTE_AGENT_CAPACITY
          value: {{ .Values.capacity | quote }}
        {{- if .Values.ephemeral }}
        - name: REMOTE_AGENT_EPHEMERAL
          value: "true"
        {{- with .Values.idleTimeout }}
        - name: REMOTE_AGENT_IDLE_TIMEOUT
          value: {{ . | quote }}
        {{- end }}
        {{- end }}
        {{- if .Values.replace }}
        - name: REMOTE_AGENT_REPLACE
          value: "true"
        {{- end }}
        - name: REMOTE_AGENT_ON_STOP
          value: drain
        - name: REMOTE_AGENT_STOP_TIMEOUT
          value: {{ sub .Values.terminationGracePeriodSeconds .Values.stopMargin | max 0 }}s
        - name: REMOTE_AGENT_LIVENESS_FILE
          value: /run/remote-agent/live
        - name: REMOTE_AGENT_READINESS_FILE
          value: /run/remote-agent/ready
        - name: REMOTE_AGENT_LOG_FORMAT
          value: json
        {{- with .Values.env }}{{ toYaml . | nindent 8 }}{{ end }}
      {{- with .Values.envFrom }}
      envFrom: {{- toYaml . | nindent 8 }}
      {{- end }}
      # Its event loop turns: the file is new.
      livenessProbe:
        exec: {command: [sh, -c, 'find "$REMOTE_AGENT_LIVENESS_FILE" -mmin -1 | grep -q .']}
        initialDelaySeconds: 30
        periodSeconds: 20
        timeoutSeconds: 10
        failureThreshold: 3
      # It is connected to its server.
      readinessProbe:
        exec: {command: [sh, -c, 'find "$REMOTE_AGENT_READINESS_FILE" -mmin -1 | grep -q .']}
        periodSeconds: 10
        timeoutSeconds: 10
      resources: {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: state, mountPath: /var/lib/remote-agent}
        - {name: run, mountPath: /run/remote-agent}
        - {name: tmp, mountPath: /tmp}
        - {name: home, mountPath: /home/remote-agent}
        - {name: token, mountPath: /etc/remote-agent/token, readOnly: true}
        {{- if .Values.server.caSecret.name }}
        - {name: ca, mountPath: /etc/remote-agent/ca, readOnly: true}
        {{- end }}
        {{- if .Values.secrets }}
        - {name: secrets, mountPath: /mnt/secrets, readOnly: true}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    {{- if .Values.ephemeral }}
    - name: state
      emptyDir: {sizeLimit: {{ .Values.persistence.size }}}
    {{- end }}
    - name: run
      emptyDir: {medium: Memory, sizeLimit: 1Mi}
    - name: tmp
      emptyDir: {sizeLimit: {{ .Values.tmpSize }}}
    - name: home
      emptyDir: {sizeLimit: {{ .Values.tmpSize }}}
    # Optional: an agent that is registered needs it no more.
    - name: token
      secret: {secretName: {{ .Values.token.secret }}, optional: {{ not .Values.ephemeral }}, defaultMode: 0440}
    {{- if .Values.server.caSecret.name }}
    - name: ca
      secret: {secretName: {{ .Values.server.caSecret.name }}, defaultMode: 0444}
    {{- end }}
    {{- if .Values.secrets }}
    - name: secrets
      projected:
        defaultMode: 0440
        sources:
          {{- range .Values.secrets }}
          - secret: {name: {{ . }}}
          {{- end }}
    {{- end }}
    {{- with .Values.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
