package exports

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

var client Client

// TestMain serves the functions of scf.toml for all tests.
func TestMain(m *testing.M) {
	python := os.Getenv("PYTHON")
	if python == "" {
		python = "python3"
	}
	serving := exec.Command(python, "-m", "pytest_scf_async", "serve", "scf.toml", "--print-env", "--on-stop=abandon")
	serving.Stderr = os.Stderr
	output, err := serving.StdoutPipe()
	if err == nil {
		err = serving.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	printed := map[string]string{}
	for lines := bufio.NewScanner(output); printed["SCF_ENDPOINT_URL"] == "" && lines.Scan(); { // the last one
		if name, value, found := strings.Cut(lines.Text(), "="); found {
			printed[name] = value
		}
	}
	client = Client{
		URL:       printed["SCF_ENDPOINT_URL"],
		Region:    printed["TENCENTCLOUD_REGION"],
		SecretID:  printed["TENCENTCLOUD_SECRET_ID"],
		SecretKey: printed["TENCENTCLOUD_SECRET_KEY"],
	}

	code := m.Run()

	_ = serving.Process.Signal(syscall.SIGTERM)
	if err := serving.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, "python -m pytest_scf_async serve:", err)
		code = 1
	}
	os.Exit(code)
}

// Event is what /_scf/events/ID shows.
type Event struct {
	Status   string
	Result   map[string]int
	EndedAt  string `json:"ended_at"`
	Timeline string
	Log      []struct{ Text string }
}

// control lets time pass and reads events: the API has nothing of this.
func control(t *testing.T, method, path, sent string, answer any) {
	t.Helper()
	request, err := http.NewRequest(method, client.URL+"/_scf/"+path, bytes.NewBufferString(sent))
	check(t, err)
	response, err := http.DefaultClient.Do(request)
	check(t, err)
	defer response.Body.Close()
	var found json.RawMessage
	check(t, json.NewDecoder(response.Body).Decode(&found))
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, path, found)
	}
	if answer != nil {
		check(t, json.Unmarshal(found, answer))
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, found, wanted any) {
	t.Helper()
	if !reflect.DeepEqual(found, wanted) {
		t.Fatalf("%v, and not %v", found, wanted)
	}
}

func status(t *testing.T, id string) string {
	t.Helper()
	found, err := client.Status(id)
	check(t, err)
	return found
}

func begin(t *testing.T) {
	t.Helper()
	control(t, "POST", "reset", "", nil)
}

func TestAnExportOfAnHourEndsWhenAnHourHasPassed(t *testing.T) {
	begin(t)
	id, err := client.Start(360)
	check(t, err)
	control(t, "POST", "clock/advance", `{"seconds": 3599}`, nil)
	expect(t, status(t, id), "RUNNING")
	running, err := client.Running()
	check(t, err)
	expect(t, running, []string{id})

	control(t, "POST", "clock/advance", `{"seconds": 1}`, nil)

	expect(t, status(t, id), "FINISHED")
	var event Event
	control(t, "GET", "events/"+id, "", &event)
	expect(t, event.Result, map[string]int{"rows": 360})
	expect(t, event.EndedAt, "2026-01-01T01:00:00+00:00")
}

func TestAnExportThatIsStoppedEndsAfterItsRow(t *testing.T) {
	begin(t)
	id, err := client.Start(360)
	check(t, err)
	control(t, "POST", "events/"+id+"/wait_for_log", `{"text": "row 3"}`, nil)

	check(t, client.Stop(id))
	var event Event
	control(t, "POST", "events/"+id+"/wait", "", &event)

	expect(t, event.Status, "FINISHED")
	expect(t, event.Result, map[string]int{"rows": 3})
	if !strings.Contains(event.Timeline, "SIGTERM") {
		t.Fatal(event.Timeline)
	}
}

func TestEachTestBeginsAnew(t *testing.T) {
	begin(t)
	var clock struct{ Now string }
	control(t, "GET", "clock", "", &clock)
	expect(t, clock.Now, "2026-01-01T00:00:00+00:00")

	_, err := client.Status("none")

	var refused *APIError
	if !errors.As(err, &refused) || refused.Code != "ResourceNotFound.AsyncEvent" {
		t.Fatal(err)
	}
}
