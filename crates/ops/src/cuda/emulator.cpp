// Reads a program from stdin, as emulator.rs writes it, runs it and writes every buffer to stdout.
//
//   order O                                   in which order threads take their turns
//   buffer BYTES FILLED                       FILLED bytes of content follow after the newline
//   addresses COUNT b…                        a buffer of pointers to earlier buffers
//   launch KERNEL X Y Z THREADS ARGUMENTS a…  `b3` is buffer 3, `i7` the int 7, `f` the bits of a
//                                             float, `l` an unsigned long long
//   end

#include <iostream>

using namespace emulator;

static const Kernel& find(const std::string& name) {
    for (const Kernel& kernel : KERNELS)
        if (kernel.name == name) return kernel;
    fail("no kernel " + name);
}

static void launch(std::vector<Buffer>& buffers, unsigned order) {
    std::string name, token;
    dim3 grid;
    unsigned block;
    size_t count;
    std::cin >> name >> grid.x >> grid.y >> grid.z >> block >> count;
    const Kernel& kernel = find(name);
    if (kernel.arity != count) fail(name + " has another number of parameters");
    // Little-endian: an int, or the bits of a float, is the first half of its eight bytes.
    std::vector<unsigned long long> values(count);
    std::vector<void*> arguments(count);
    for (size_t i = 0; i < count; ++i) {
        std::cin >> token;
        const std::string digits = token.substr(1);
        values[i] = token[0] == 'i' ? std::stoll(digits) : std::stoull(digits);
        arguments[i] = token[0] == 'b' ? static_cast<void*>(&buffers.at(values[i]).data) : &values[i];
    }
    run_grid(grid, block, order, [&] { kernel.call(arguments.data()); });
    for (size_t i = 0; i < buffers.size(); ++i)
        if (!buffers[i].is_guarded()) fail(name + " wrote beside buffer " + std::to_string(i));
}

int main() {
    std::ios::sync_with_stdio(false);
    std::vector<Buffer> buffers;
    unsigned order = 0;
    for (std::string word; std::cin >> word && word != "end";) {
        if (word == "order") {
            std::cin >> order;
        } else if (word == "buffer") {
            size_t length, filled;
            std::cin >> length >> filled;
            std::cin.get();
            buffers.emplace_back(length);
            std::cin.read(reinterpret_cast<char*>(buffers.back().data), filled);
        } else if (word == "addresses") {
            size_t count;
            std::cin >> count;
            Buffer table(count * sizeof(void*));
            for (size_t i = 0, of; i < count; ++i) {
                std::cin >> of;
                memcpy(table.data + i * sizeof(void*), &buffers.at(of).data, sizeof(void*));
            }
            buffers.push_back(table);
        } else {
            launch(buffers, order);
        }
    }
    for (const Buffer& buffer : buffers)
        fwrite(buffer.data, 1, buffer.length, stdout);
}
