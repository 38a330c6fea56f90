package console

import (
	"embed"
	"io/fs"
	"net/http"
	"path"

	"example.com/orderflow/services/internal/httpapi"
)

//go:embed page
var pageFolder embed.FS

// mediaTypes are those of the page's files. The system's table may have others.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".png":  "image/png",
	".ico":  "image/x-icon",
}

const indexFile = "index.html"

// files are the page's files by name.
var files = readFiles()

func readFiles() map[string]httpapi.File {
	files := make(map[string]httpapi.File)
	entries, err := fs.ReadDir(pageFolder, "page")
	if err != nil {
		panic(err)
	}
	for _, entry := range entries {
		mediaType := mediaTypes[path.Ext(entry.Name())]
		if entry.IsDir() || mediaType == "" { // not for browsers
			continue
		}
		content, err := pageFolder.ReadFile("page/" + entry.Name())
		if err != nil {
			panic(err)
		}
		files[entry.Name()] = httpapi.NewFile(mediaType, content)
	}
	return files
}

// IsPage reports whether the path is the page's or that of one of its files. They have no
// data, so everybody may read them.
func IsPage(p string) bool {
	if p == "/" {
		return true
	}
	folder, name := path.Split(p)
	_, ok := files[name]
	return ok && folder == "/console/"
}

func (c *Console) page(w http.ResponseWriter, r *http.Request) error {
	writeFile(w, r, files[indexFile])
	return nil
}

func (c *Console) file(w http.ResponseWriter, r *http.Request) error {
	file, ok := files[r.PathValue("name")]
	if !ok {
		return &httpapi.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "the page has no such file"}
	}
	writeFile(w, r, file)
	return nil
}

// policy lets the page load only what it is made of, and nobody frame it.
const policy = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

func writeFile(w http.ResponseWriter, r *http.Request, file httpapi.File) {
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	file.Write(w, r)
}
